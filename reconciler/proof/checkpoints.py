"""The checkpoints that are stored, and what they cover.

A stored note proves nothing by itself: `opened` gives only what a known key has signed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from reconciler.proof import checkpoint, note
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.note import Note, VerifierKey
from runner.contract import errors

_NEWEST = "SELECT * FROM checkpoint ORDER BY size DESC LIMIT 1"
_PUBLISHED = (
    "SELECT * FROM checkpoint WHERE published_at IS NOT NULL ORDER BY size DESC LIMIT 1"
)
_COVERING = "SELECT * FROM checkpoint WHERE size >= ? ORDER BY size LIMIT 1"
_BETWEEN = "SELECT * FROM checkpoint WHERE size >= ? AND size <= ? ORDER BY size"
_ADD = "INSERT INTO checkpoint (size, note, signed_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_MARK = "UPDATE checkpoint SET published_at = ? WHERE size = ? AND published_at IS NULL"
_TAKEN = "SELECT remote, size, published_at FROM audit_publication WHERE remote = ?"
_TOOK = (
    "INSERT INTO audit_publication (remote, size, published_at) VALUES (?, ?, ?)"
    " ON CONFLICT (remote) DO UPDATE SET size = excluded.size,"
    " published_at = excluded.published_at"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint as it stands in the database; times are microseconds, UTC."""

    size: int
    note: str
    signed_at: int
    published_at: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The largest checkpoint that a remote took, and when it last took one."""

    remote: str
    size: int
    published_at: int


def newest(connection: Connection) -> Stored | None:
    """The largest checkpoint."""
    return _one(connection.exec_driver_sql(_NEWEST).one_or_none())


def published(connection: Connection) -> Stored | None:
    """The largest one that was published."""
    return _one(connection.exec_driver_sql(_PUBLISHED).one_or_none())


def covering(connection: Connection, seq: int) -> Stored | None:
    """The smallest one that an entry is part of."""
    return _one(connection.exec_driver_sql(_COVERING, (seq,)).one_or_none())


def between(connection: Connection, smallest: int, largest: int) -> Iterator[Stored]:
    """Those of these sizes, smallest first."""
    for row in connection.exec_driver_sql(_BETWEEN, (smallest, largest)):
        yield _stored(row)


def add(connection: Connection, size: int, signed: Note, now_us: int) -> None:
    """Keep a checkpoint; one of that size that is there stays."""
    connection.exec_driver_sql(_ADD, (size, str(signed), now_us))


def replace(connection: Connection, size: int, signed: Note) -> None:
    """Keep the same checkpoint with more signatures."""
    connection.exec_driver_sql(
        "UPDATE checkpoint SET note = ? WHERE size = ?", (str(signed), size)
    )


def taken(connection: Connection, remote: str) -> Taken | None:
    """What a remote took, by its address without any password."""
    row = connection.exec_driver_sql(_TAKEN, (remote,)).one_or_none()
    return None if row is None else Taken(*row)


def mark_published(connection: Connection, size: int, remote: str, now_us: int) -> None:
    """Remember that others can see a checkpoint there."""
    connection.exec_driver_sql(_MARK, (now_us, size))
    connection.exec_driver_sql(_TOOK, (remote, size, now_us))


def opened(text: str, keys: Sequence[VerifierKey], log: str) -> tuple[Checkpoint, Note]:
    """A checkpoint of this log that one of these keys signed; ValueError if it is none."""
    found = note.parse(text)
    said = checkpoint.parse(found.text)
    if said.origin != log:
        raise ValueError(f"it is of the log {said.origin}")
    if not note.verified(found, keys):
        raise ValueError("no key of the log has signed it")
    return said, found


def trusted(stored: Stored, keys: Sequence[VerifierKey], log: str) -> Checkpoint:
    """What a stored checkpoint says, if it is ours; AuditBroken."""
    try:
        said, _ = opened(stored.note, keys, log)
    except ValueError as error:
        raise errors.AuditBroken(
            f"the checkpoint of {stored.size} entries does not hold: {error}"
        ) from None
    if said.size != stored.size:
        raise errors.AuditBroken(
            f"the checkpoint kept as {stored.size} entries is one of {said.size}"
        )
    return said


def _one(row: Row[Any] | None) -> Stored | None:
    return None if row is None else _stored(row)


def _stored(row: Row[Any]) -> Stored:
    return Stored(row.size, row.note, row.signed_at, row.published_at)
