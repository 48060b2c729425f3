"""When a resource came to be what it was at a moment: its plan, who let it pass, its entries.

From the history, by indexes; each step is held against the entry of the log that tells of
it, and the entry is believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler import override
from reconciler.history import history
from reconciler.history.origin import LetPass
from reconciler.history.plan import KeptChange, Record
from reconciler.why import entries
from reconciler.why.entries import Logged
from runner.contract import errors
from runner.contract.kinds import Key

LOOKED_AT_MAX: Final = 50
"""Changes of one resource that are looked at, newest first."""
_REFUSED: Final = frozenset({"rejected", "blocked"})


@dataclass(frozen=True, slots=True)
class Applied:
    """An apply: its row, its own entry, and what does not fit between the two."""

    record: Record
    entry: Logged | None
    let_pass: tuple[LetPass, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Brought:
    """What one resource was changed by last, before a moment."""

    key: Key
    change: KeptChange
    applied: Applied
    entry: Logged | None
    """The entry of the change itself."""


def of_commit(connection: Connection, names: Iterable[str], commit: str) -> Applied | None:
    """The newest apply of a commit in any of these repositories; None: the history has none."""
    for name in dict.fromkeys(names):
        record = history.of_commit(connection, name, commit)
        if record is not None:
            return _applied(connection, record)
    return None


def brought(connection: Connection, key: Key, before_us: int) -> Brought | None:
    """The newest change of a resource that was applied before a moment; None: not kept."""
    for change in history.changes_of(connection, key, limit=LOOKED_AT_MAX):
        record = history.record(connection, change.history)
        if record is None or record.result in _REFUSED or record.recorded_at > before_us:
            continue
        entry = None
        if record.audit_seq is not None:
            entry = _entry(connection, record.audit_seq + 1 + change.position)
            if entry is not None and entry.text("resource") != str(key):
                entry = None
        return Brought(key, change, _applied(connection, record), entry)
    return None


def _applied(connection: Connection, record: Record) -> Applied:
    entry = _entry(connection, record.audit_seq) if record.audit_seq is not None else None
    given = override.given(connection, record.source, record.commit_sha or "")
    passed = tuple(LetPass(o.kind.value, o.subject, o.actor, o.reason) for o in given)
    return Applied(record, entry, passed, _faults(record, entry))


def _faults(record: Record, entry: Logged | None) -> tuple[str, ...]:
    if entry is None:
        return (f"history {record.id} names no entry of the log that is there",)
    said = (
        ("commit", entry.text("commit"), record.commit_sha or "none"),
        ("plan", entry.text("digest"), record.plan_id),
    )
    return entry.faults + tuple(
        f"entry {entry.seq} says {name} {there}, and history {record.id} says {here}"
        for name, there, here in said
        if there != here
    )


def _entry(connection: Connection, seq: int) -> Logged | None:
    try:
        return entries.one(connection, seq)
    except (errors.NotFound, errors.AuditBroken):
        return None
