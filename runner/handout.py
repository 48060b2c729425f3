"""Hand claimed tasks to workers: the journal first, then the task with what it needs.

A manifest set goes to a worker once. A task whose parts do not fit the wire is not handed
out at all: the caller ends it, and its worker lives on.
"""

from typing import Any, Final

from sqlalchemy import Connection

from runner import credentials
from runner.claim import Claimable, Held
from runner.contract import seal
from runner.contract.settings import Settings
from runner.contract.telemetry import log
from runner.crew import Worker
from runner.ledger import Ledger

SETS_MAX: Final = 256  # Manifest sets that a worker keeps before it forgets them all.


class HandOut:
    """The way from a claim to its worker, on the dispatcher's connection."""

    def __init__(self, connection: Connection, ledger: Ledger, settings: Settings) -> None:
        self._connection = connection
        self._ledger = ledger
        self._settings = settings
        self._sealer = seal.sealer(settings.home)

    def give(self, worker: Worker, task: Claimable, held: Held) -> None:
        """Send a task to its worker; TooLong when the wire does not take it."""
        ids: dict[str, Any] = {"task": held.task, "fence": held.fence}
        message = {"do": "run", **ids, "input": task.input, "manifests": held.manifests}
        if task.fence > 0:  # Somebody has worked on it: its journal goes ahead.
            for step in self._ledger.journal.steps(task.id):
                # One by one: together they may be longer than the wire takes.
                worker.wire.send({"do": "step", "task": task.id, "step": step.to_json()})
        new = held.manifests not in worker.sets
        if new:
            message |= self._manifests(worker, held.manifests)
        self._connection.rollback()
        worker.wire.send(message)
        if new:
            worker.sets.add(held.manifests)
        log("task_claimed", "A worker took a task.", **ids, worker=worker.id)

    def _manifests(self, worker: Worker, digest: str) -> dict[str, Any]:
        if len(worker.sets) >= SETS_MAX:
            worker.sets.clear()
            worker.wire.send({"do": "forget"})
        manifests = self._ledger.pins.load(digest)
        secrets = credentials.find(self._connection, manifests, self._sealer, self._settings)
        return {"set": manifests.to_text(), "secrets": secrets}
