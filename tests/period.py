"""A log that a test writes entry by entry, and the populations of any period of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import home

from reconciler.evidence.part import Scope
from reconciler.evidence.populations import Evidence, Populations
from reconciler.proof.checkpoint import Checkpoint
from runner.contract import audit, merkle
from runner.contract.audit_entry import Entry, EntryType

SECOND_US = 1_000_000
START_US = 1_790_000_000_000_000
COMMIT = "c" * 40
CLERK: dict[str, Any] = {"agent": "default/clerk", "tool": "tickets"}


class Period:
    """Writes entries, each at a time of its own unless told otherwise."""

    def __init__(self, folder: Path, mirror: Path | None = None) -> None:
        self.database = home.opened(folder)
        self.mirror = mirror
        self.now_us = START_US

    def add(self, type: EntryType, after_us: int = SECOND_US, **facts: Any) -> None:
        self.together((type, facts), after_us=after_us)

    def together(
        self, *given: tuple[EntryType, dict[str, Any]], after_us: int = SECOND_US
    ) -> None:
        """Entries of one transaction."""
        self.now_us += after_us
        plain: dict[str, Any] = {"actor": "worker:1", "commit": COMMIT}
        entries = [Entry(type=type, **(plain | facts)) for type, facts in given]
        with self.database.write() as connection:
            audit.append(connection, entries, self.now_us)

    def queue(self, task: str) -> None:
        self.add(EntryType.TASK_QUEUED, task=task)

    def finish(self, task: str, outcome: str = "succeeded") -> None:
        self.add(EntryType.TASK_FINISHED, task=task, outcome=outcome)

    def decide(self, task: str, step: int, decision: str, **facts: Any) -> None:
        """A call that is asked for and decided on; what is allowed is started."""
        about = {"task": task, "step": step, "attempt": 1, **CLERK, **facts}
        reasons = {key: about.pop(key) for key in ("rule", "reason") if key in about}
        given = [
            (EntryType.ACTION_REQUESTED, about),
            (EntryType.ACTION_DECIDED, {**about, **reasons, "decision": decision}),
        ]
        if decision == "allow":
            given.append((EntryType.ACTION_STARTED, about))
        self.together(*given)

    def call(self, task: str, step: int, ending: EntryType, **facts: Any) -> None:
        """An allowed call with its end, a second later."""
        self.decide(task, step, "allow", **facts)
        about = {"task": task, "step": step, "attempt": 1, **CLERK, **facts}
        self.add(ending, **about, tokens_in=10, tokens_out=5, duration_us=1_000)

    def entries(self) -> list[audit.Stored]:
        with self.database.read() as connection:
            return list(audit.read(connection))

    def scope(self, folder: Path, first: int = 1, last: int | None = None) -> Scope:
        found = self.entries()
        last = len(found) if last is None else last
        root = merkle.root([merkle.leaf(one.raw) for one in found])
        with self.database.read() as connection:
            log = audit.name(connection)
        period = found[first - 1 : last]
        return Scope(
            log=log,
            since_us=period[0].fields["time"] if period else START_US,
            until_us=period[-1].fields["time"] + 1 if period else START_US,
            first=first,
            last=last,
            checkpoint=Checkpoint(log, len(found), root),
            folder=folder,
            mirror=self.mirror,
        )

    @contextmanager
    def evidence(
        self, folder: Path, first: int = 1, last: int | None = None
    ) -> Iterator[Evidence]:
        scope = self.scope(folder, first, last)
        populations = Populations(scope)
        for entry in self.entries()[first - 1 : scope.last]:
            populations.take(entry)
        populations.end()
        yield populations.evidence
        populations.close()
