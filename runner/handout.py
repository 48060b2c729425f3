"""What a worker is sent with a claimed task: the journal first, then what the task needs.

A manifest set goes to a worker once. A task whose parts do not fit the wire is not handed
out at all: the caller ends it, and its worker lives on.
"""

from typing import Any, Final

from sqlalchemy import Connection

from runner import credentials
from runner.claim import Claimable, Held
from runner.contract import seal
from runner.contract.settings import Settings
from runner.ledger import Ledger
from runner.wire import line

SETS_MAX: Final = 256  # Manifest sets that a worker keeps before it forgets them all.


class HandOut:
    """Makes the messages, in the writer's thread and transaction."""

    def __init__(self, connection: Connection, ledger: Ledger, settings: Settings) -> None:
        self._connection = connection
        self._ledger = ledger
        self._settings = settings
        self._sealer = seal.sealer(settings.home)

    def lines(self, known: set[str], task: Claimable, held: Held) -> list[bytes]:
        """The lines that hand over a task; TooLong when the wire does not take them.

        `known` are the manifest sets that the worker has; a new one is added.
        """
        message = {
            "do": "run",
            "task": held.task,
            "fence": held.fence,
            "input": task.input,
            "flow": task.flow,
            "manifests": held.manifests,
        }
        lines = []
        if task.fence > 0:  # Somebody has worked on it: its journal goes ahead.
            for visit in self._ledger.journal.visits(task.id):
                lines.append(line({"do": "visit", "task": task.id, "visit": visit.to_json()}))
            for step in self._ledger.journal.steps(task.id):
                # One by one: together they may be longer than the wire takes.
                lines.append(line({"do": "step", "task": task.id, "step": step.to_json()}))
        if held.manifests in known:
            return [*lines, line(message)]
        lines.append(line(message | self._manifests(held.manifests)))
        if len(known) >= SETS_MAX:
            known.clear()
            lines.insert(0, line({"do": "forget"}))
        known.add(held.manifests)
        return lines

    def _manifests(self, digest: str) -> dict[str, Any]:
        manifests = self._ledger.pins.load(digest)
        secrets = credentials.find(self._connection, manifests, self._sealer, self._settings)
        return {"set": manifests.to_text(), "secrets": secrets}
