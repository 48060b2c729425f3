"""What the database says of a call beside the log, held against what the log says of it.

The log is believed. A row that tells another story was edited, and is named.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row

from reconciler.why.call import Call
from reconciler.why.entries import Logged
from runner.contract import audit_entry
from runner.contract.kinds import Key

TASK: Final = (
    "SELECT namespace, subject_kind, subject_name, task_name, state, commit_sha, manifest_set,"
    " fence, actor FROM task WHERE id = ?"
)
STEP: Final = (
    "SELECT agent, kind, name, phase, request, fence FROM step WHERE task_id = ? AND number = ?"
)
DISCLOSURE: Final = "SELECT salt, value FROM disclosure WHERE seq = ? AND field = ?"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as its row says now."""

    subject: Key
    task_name: str | None
    state: str
    commit: str | None
    manifests: str | None
    fence: int
    actor: str


@dataclass(frozen=True, slots=True)
class Disclosed:
    """A private value of an entry, as far as it can be believed.

    `state` is `verified`, `erased`, `altered` (it does not fit its commitment), or `none`:
    the entry has no such field.
    """

    state: str
    value: Any = None


def task(connection: Connection, id: str) -> TaskRow | None:
    """The row of a task; None when there is none."""
    row = connection.exec_driver_sql(TASK, (id,)).one_or_none()
    return None if row is None else TaskRow(Key(*row[:3]), *row[3:])


def arguments(connection: Connection, call: Call) -> Disclosed:
    """What a call was to be made with."""
    if call.requested is None:
        return Disclosed("none")
    return disclosed(connection, call.requested, "arguments")


def disclosed(connection: Connection, entry: Logged, field: str) -> Disclosed:
    """A private value, held against the commitment in its entry."""
    kept = entry.fields.get("private")
    commitment = kept.get(field) if isinstance(kept, dict) else None
    if commitment is None:
        return Disclosed("none")
    row = connection.exec_driver_sql(DISCLOSURE, (entry.seq, field)).one_or_none()
    if row is None:
        return Disclosed("erased")
    salt, value = row
    if audit_entry.commitment(bytes(salt), field, value) != commitment:
        return Disclosed("altered")
    return Disclosed("verified", json.loads(value))


def faults(
    connection: Connection, call: Call, about: TaskRow | None, asked: Disclosed
) -> tuple[str, ...]:
    """What the rows of a call say that its entries do not."""
    if call.decided is None:
        return ()
    return tuple(_faults(connection, call, call.decided, about, asked))


def _faults(
    connection: Connection,
    call: Call,
    decided: Logged,
    about: TaskRow | None,
    asked: Disclosed,
) -> Iterator[str]:
    if asked.state == "altered":
        yield "the arguments kept beside the log are not those that were committed to"
    if about is None:
        yield f"the log tells of task {call.task}, and there is no such row"
    elif about.fence == decided.whole("attempt"):
        yield from _differs(decided, "commit", about.commit, "the task's row")
        yield from _differs(decided, "manifests", about.manifests, "the task's row")
    row = connection.exec_driver_sql(STEP, (call.task, call.step)).one_or_none()
    if row is not None and row.fence == decided.whole("attempt"):
        yield from _of_step(decided, row, asked)
    elif row is None and decided.text("decision") == "allow":
        yield f"the log tells of step {call.step}, and there is no such row"


def _of_step(decided: Logged, row: Row[Any], asked: Disclosed) -> Iterator[str]:
    """What the step's row says differently; another attempt's tells of another call."""
    yield from _differs(decided, "agent", row.agent, "the step's row")
    if (row.phase == "denied") != (decided.text("decision") == "deny"):
        yield f"the log says {decided.text('decision')}, and the step's row {row.phase}"
    if row.kind != "tool":
        return
    yield from _differs(decided, "tool", row.name, "the step's row")
    if asked.state == "verified" and _arguments(row.request) != asked.value:
        yield "the step's row has other arguments than the log"


def _differs(entry: Logged, name: str, here: str | None, where: str) -> Iterator[str]:
    if entry.text(name) != here:
        yield f"entry {entry.seq} says {name} {entry.text(name)}, and {where} {here}"


def _arguments(request: str) -> Any:
    try:
        value = json.loads(request)
    except (ValueError, RecursionError):
        return None
    return value.get("arguments") if isinstance(value, dict) else None
