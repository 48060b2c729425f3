"""localqueue: a queue in SQLite with leases, written in Rust, read by worker loops.

python -m peers.localqueue_sqlite    one worker process
"""

from localqueue import DurabilityMode, EnqueueItem, SimpleQueue, Worker

from peers import place
from peers.peer import Peer, python


def queue() -> SimpleQueue[int]:
    return SimpleQueue(place.FOLDER / "localqueue", durability=DurabilityMode.DURABLE)


class LocalQueue(Peer):
    """Durable, as ours is, and not the relaxed mode it has by default."""

    name = "localqueue (SQLite)"
    packages = ("localqueue",)
    promise = "at least once: lease and receipt, checked at the acknowledgement; durable"
    setting = "durable mode (synchronous=FULL), 2 processes, idle poll 10 ms"
    batch = 100

    def prepare(self) -> None:
        self._queue = queue()

    def workers(self) -> list[list[str]]:
        return [python("-m", "peers.localqueue_sqlite")] * 2

    def enqueue(self, sent_ns: int = 0) -> None:
        self._queue.put(sent_ns)

    def enqueue_batch(self) -> None:
        self._queue.put_many([EnqueueItem(0)] * self.batch)

    def close(self) -> None:
        self._queue.close()


PEER = LocalQueue()

if __name__ == "__main__":
    Worker(queue(), lambda job: place.noop(job.data), poll_interval=0.01).run()
