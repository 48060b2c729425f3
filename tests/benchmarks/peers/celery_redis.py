"""Celery on Redis, acknowledging late, so that a task survives its worker."""

from celery import Celery

from peers import place
from peers.peer import Peer, python

app = Celery("bench", broker=place.STORE)
app.conf.task_acks_late = True
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = 32
app.conf.broker_connection_retry_on_startup = True


@app.task(name="noop")
def noop(sent_ns: int) -> None:
    place.noop(sent_ns)


class CeleryPeer(Peer):
    """Many prefetched messages, since the tasks are short."""

    name = "Celery (Redis, fsync)" if place.FSYNC else "Celery (Redis)"
    packages = ("celery", "redis")
    promise = "at least once, after an hour; no fence; " + (
        "durable" if place.FSYNC else "Redis may lose the last second"
    )
    setting = "acks_late, prefetch 32 a process, prefork of 2, no results, no gossip"

    def workers(self) -> list[list[str]]:
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        worker = python("-m", "celery", "-q", "-A", "peers.celery_redis", "worker")
        return [[*worker, "-c", "2", "-l", "WARNING", *quiet]]

    def enqueue(self, sent_ns: int = 0) -> None:
        noop.delay(sent_ns)

    def close(self) -> None:
        app.close()


PEER = CeleryPeer()
