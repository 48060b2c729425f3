"""Ours: the real runner, with two workers that answer every task at once."""

import os

from ours import Ours

from peers import place
from peers.peer import Peer


class Orloj(Peer):
    """Everything of the product but the agent: claim, hand-out, ending, audit entries."""

    name = "orloj (PostgreSQL)" if place.STORE else "orloj (SQLite)"
    packages = ("orloj",)
    promise = "lease and fence on every write; audit entries in the same commit; durable"
    setting = "2 no-op workers of 64 slots; a task counts when its end is durable"
    batch = 100

    def prepare(self) -> None:
        self._ours = Ours(place.FOLDER, place.STORE)
        os.environ["ORLOJ_DATABASE_URL"] = place.STORE
        os.environ["ORLOJ_RUNNER_WORKERS"] = "2"
        os.environ["ORLOJ_RUNNER_SLOTS"] = "64"

    def workers(self) -> list[list[str]]:
        return [self._ours.command(place.TALLY)]

    def enqueue(self, sent_ns: int = 0) -> None:
        self._ours.send(sent_ns)

    def enqueue_batch(self) -> None:
        self._ours.submit(self.batch, self.batch)

    def settle(self, count: int) -> None:
        self._ours.settle()
        assert self._ours.finished() == count

    def close(self) -> None:
        self._ours.close()


PEER = Orloj()
