"""A task's whole walk: every call, in order, and whether any entry of the task is missing.

The entries of a task are numbered from 1, and the one that ends it says how many there are:
an extract is whole when the numbers have no gap and the last one closes them.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler.why import applied, call, entries, manifest, proof, rows
from reconciler.why.applied import Applied
from reconciler.why.call import Call
from reconciler.why.entries import Logged
from reconciler.why.manifest import Held
from reconciler.why.proof import Proof
from reconciler.why.rows import TaskRow
from runner.contract import errors
from runner.contract.audit_entry import CLOSING
from runner.contract.settings import DEFAULT_SOURCE, Settings

PROVED_MAX: Final = 1_000
"""Entries of one task that are proved one by one; the first and the last are among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A task as the log tells it."""

    id: str
    task: TaskRow | None
    entries: tuple[Logged, ...]
    calls: tuple[Call, ...]
    commits: tuple[str, ...]
    held: Held | None
    applied: Applied | None
    proof: Proof
    numbering: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def closed(self) -> int | None:
        """How many entries the task's end counts; None while it is not over."""
        last = next((e for e in reversed(self.entries) if e.type in CLOSING), None)
        return last.whole("entries") if last else None


def whole(connection: Connection, settings: Settings, task: str) -> Whole:
    """The walk of a task; NotFound when the log has no entry of it."""
    found = entries.of_task(connection, task)
    if not found:
        raise errors.NotFound(f"the log has no entry of task {task}; `orloj audit verify`")
    commits = dict.fromkeys(e.text("commit") for e in found if e.text("manifests"))
    named = tuple(commit for commit in commits if commit)
    newest = named[-1] if named else None
    names = (DEFAULT_SOURCE, *settings.followed)
    done = applied.of_commit(connection, names, newest) if newest else None
    first = (done.record.source,) if done else ()
    kept = found[: PROVED_MAX - 1] + found[-1:]
    faults = [fault for entry in found for fault in entry.faults]
    faults += done.faults if done else ()
    return Whole(
        id=task,
        task=rows.task(connection, task),
        entries=tuple(found),
        calls=tuple(call.calls(found)),
        commits=named,
        held=manifest.holder(settings, first, newest),
        applied=done,
        proof=proof.proof(connection, [entry.seq for entry in kept]),
        numbering=entries.numbering(found),
        faults=tuple(dict.fromkeys(faults)),
    )
