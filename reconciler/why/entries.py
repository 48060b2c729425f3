"""Entries of the log by number and by task, each held against the copies beside it.

What was hashed is the truth. The columns that serve searches, and the stored leaf hash, are
copies: where one says something else, somebody edited the database, and that is said.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner.contract import audit_entry, audit_header, audit_reading, errors, merkle

ENTRIES_MAX: Final = 20_000
"""Of one task; a task with more is refused rather than read without a bound."""
_COLUMNS: Final = "seq, raw, leaf, time, type, task, task_seq, agent, tool, decision"
ONE: Final = f"SELECT {_COLUMNS} FROM audit_entry WHERE seq = ?"  # noqa: S608
OF_TASK: Final = f"SELECT {_COLUMNS} FROM audit_entry WHERE task = ? ORDER BY task_seq LIMIT ?"  # noqa: S608
STEPS: Final = f"SELECT {_COLUMNS} FROM audit_entry WHERE task = ?"  # noqa: S608
END: Final = "SELECT max(seq) FROM audit_entry"
_COPIES: Final = ("time", "type", "task", "task_seq", "agent", "tool", "decision")


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry: its fields as they were hashed, and what of its row does not fit them.

    What the entry withholds stands in its place, as far as it is the text committed to.
    """

    seq: int
    fields: dict[str, Any]
    faults: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """What happened."""
        return str(self.fields.get("type", ""))

    @property
    def at(self) -> int:
        """When, in microseconds."""
        found = self.fields.get("time")
        return found if isinstance(found, int) else 0

    def text(self, name: str) -> str | None:
        """A field that holds a text; None where it does not."""
        found = self.fields.get(name)
        return found if isinstance(found, str) else None

    def whole(self, name: str) -> int | None:
        """A field that holds a whole number; None where it does not."""
        found = self.fields.get(name)
        return found if isinstance(found, int) else None


def one(connection: Connection, seq: int) -> Logged:
    """The entry of this number; NotFound."""
    last = connection.exec_driver_sql(END).scalar_one() or 0
    row = None
    if 0 < seq <= last:
        row = connection.exec_driver_sql(ONE, (seq,)).one_or_none()
    if row is not None:
        return _revealed(connection, [_logged(row)])[0]
    if 0 < seq <= last:
        raise errors.AuditBroken(
            f"entry {seq} of the audit log is missing; run `orloj audit verify`"
        )
    raise errors.NotFound(
        f"there is no entry {seq}: the log has entries 1 to {last}; see `orloj audit log`"
        if last
        else f"there is no entry {seq}: the log is empty"
    )


def of_task(connection: Connection, task: str) -> list[Logged]:
    """The entries of a task, in its own numbering; Refused when there are too many."""
    rows = connection.exec_driver_sql(OF_TASK, (task, ENTRIES_MAX + 1)).all()
    if len(rows) > ENTRIES_MAX:
        raise errors.Refused(
            f"task {task} has more than {ENTRIES_MAX} entries; ask for one step: TASK/NUMBER"
        )
    return _revealed(connection, sorted(map(_logged, rows), key=lambda entry: entry.seq))


def of_step(connection: Connection, task: str, number: int) -> list[Logged]:
    """The entries of one step of a task, whatever it has besides; read past, not kept."""
    marks = (f'"step":{number},'.encode(), f'"step":{number}}}'.encode())
    rows = connection.exec_driver_sql(STEPS, (task,))
    kept = [row for row in rows if any(mark in bytes(row[1]) for mark in marks)]
    found = sorted(map(_logged, kept), key=lambda entry: entry.seq)
    about = [entry for entry in found if entry.whole("step") == number]
    return _revealed(connection, about)


def numbering(entries: Sequence[Logged]) -> tuple[str, ...]:
    """What is wrong with the numbers that a task's entries have among themselves. Pure."""
    found = [entry.whole("task_seq") for entry in entries]
    wrong = []
    if found != list(range(1, len(found) + 1)):
        missing = sorted(set(range(1, max((n or 0) for n in found) + 1)) - set(found))
        shown = ", ".join(map(str, missing[:5])) or "none, but their order is another"
        wrong.append(f"the task's entries are not 1 to {len(found)}: missing {shown}")
    for entry in entries:
        count, place = entry.whole("entries"), entry.whole("task_seq")
        if count is not None and count != place:
            wrong.append(f"entry {entry.seq} closes {count} entries and is number {place}")
    return tuple(wrong)


def _revealed(connection: Connection, entries: Sequence[Logged]) -> list[Logged]:
    """The entries with what they withhold; a text that is another one is a fault."""
    asked = [entry.seq for entry in entries if audit_reading.withheld(entry.fields)]
    kept = audit_reading.kept(connection, asked)
    return [_with(entry, kept) if entry.seq in asked else entry for entry in entries]


def _with(entry: Logged, kept: Mapping[tuple[int, str], tuple[Any, Any]]) -> Logged:
    fields, faults = dict(entry.fields), list(entry.faults)
    for name in audit_reading.withheld(entry.fields):
        beside = kept.get((entry.seq, name))
        if beside is None:
            fields[name] = audit_header.ERASED
        elif audit_reading.committed(entry.fields, name, *beside):
            fields[name] = json.loads(beside[1])
        else:
            faults.append(f"entry {entry.seq}: its {name} is not the one committed to")
    return Logged(entry.seq, fields, tuple(faults))


def _logged(row: Sequence[Any]) -> Logged:
    seq, raw, leaf, *copies = row
    data = bytes(raw) if isinstance(raw, bytes | memoryview) else b""
    fields = audit_entry.parsed(data)
    if fields is None:
        return Logged(seq, {}, (f"entry {seq}: its bytes are no entry",))
    faults = []
    if not isinstance(leaf, bytes | memoryview) or merkle.leaf(data) != bytes(leaf):
        faults.append(f"entry {seq}: its bytes do not fit the leaf hash kept beside them")
    if fields.get("seq") != seq:
        faults.append(f"entry {seq}: its bytes say that it is entry {fields.get('seq')}")
    for name, copy in zip(_COPIES, copies, strict=True):
        if fields.get(name) != copy:
            faults.append(
                f"entry {seq}: the entry says {name} {fields.get(name)}, its row {copy}"
            )
    return Logged(seq, fields, tuple(faults))
