"""Dramatiq on Redis: eight threads in each of two processes."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from peers import place
from peers.peer import Peer, python

POLL_MS = 20

broker = RedisBroker(url=place.STORE)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench")
def noop(sent_ns: int) -> None:
    place.noop(sent_ns)


class Dramatiq(Peer):
    """An idle consumer looks at least every 20 ms, and not every second as by default."""

    name = "Dramatiq (Redis)"
    packages = ("dramatiq", "redis")
    promise = "at least once, after a minute, by chance; no fence; Redis may lose a second"
    setting = f"2 processes of 8 threads, idle poll at most {POLL_MS} ms"

    def prepare(self) -> None:
        os.environ["dramatiq_worker_timeout"] = str(POLL_MS)  # noqa: SIM112 - its own spelling.

    def workers(self) -> list[list[str]]:
        return [python("-m", "dramatiq", "peers.dramatiq_redis", "-p", "2", "-t", "8")]

    def enqueue(self, sent_ns: int = 0) -> None:
        noop.send(sent_ns)

    def close(self) -> None:
        broker.close()


PEER = Dramatiq()
