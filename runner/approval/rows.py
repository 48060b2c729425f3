"""Every SQL statement on the table of approvals, over the caller's connection.

Whoever decides or uses locks the task's row first and the approval's after it, so that no
two of them wait for each other.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner.approval.request import ApprovalRecord, ApprovalState, digest_of, tampered
from runner.contract import audit, kinds
from runner.contract.audit_entry import EntryType
from runner.contract.errors import NotFound
from runner.contract.kinds import Approver

_COLUMNS: Final = (
    "id, task_id, step, state, request, digest, requested_at, expires_at, approver,"
    " approver_hash, assurance, reason, signature, decided_at, closed_at"
)
_OPEN: Final = "state IN ('pending', 'approved')"
_AFTER_EVERY_ID: Final = "{"  # The character after `z`: ids are lower-case Crockford.
_AMBIGUOUS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Declared:
    """An Approver as recorded now. `hash` changes with whatever it says."""

    name: str
    spec: Approver
    hash: str


def insert(connection: Connection, record: ApprovalRecord) -> None:
    """Write a new request."""
    connection.exec_driver_sql(
        "INSERT INTO approval (id, task_id, step, state, request, digest, requested_at,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (record.id, record.task, record.step, record.state.value, record.raw, record.digest)
        + (record.requested_at, record.expires_at),
    )


def of_step(connection: Connection, task: str, step: int) -> ApprovalRecord | None:
    """The newest request for a step, kept from other writers; None: nobody was asked."""
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM approval WHERE task_id = ? AND step = ?"
        " ORDER BY id DESC LIMIT 1 /* lock */",
        (task, step),
    ).one_or_none()
    return None if row is None else _record(row)


def locked(connection: Connection, id: str) -> ApprovalRecord:
    """A request, kept from other writers until the end of the transaction; NotFound."""
    return _one(connection, id, " /* lock */")


def get(connection: Connection, id: str) -> ApprovalRecord:
    """A request; NotFound."""
    return _one(connection, id, "")


def _one(connection: Connection, id: str, suffix: str) -> ApprovalRecord:
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM approval WHERE id = ?{suffix}", (id,)
    ).one_or_none()
    if row is None:
        raise NotFound(f"no request for approval {id!r}; `orloj approvals` lists them")
    return _record(row)


def resolve(connection: Connection, prefix: str) -> str:
    """The id that a unique beginning stands for; NotFound when none or several fit."""
    prefix = prefix.lower()
    rows = connection.exec_driver_sql(
        "SELECT id FROM approval WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?",
        (prefix, prefix + _AFTER_EVERY_ID, _AMBIGUOUS_SHOWN),
    )
    ids = [str(row[0]) for row in rows]
    if len(ids) == 1:
        return ids[0]
    if not ids:
        raise NotFound(f"no request for approval {prefix!r}; `orloj approvals` lists them")
    raise NotFound(f"several requests begin with {prefix!r}: {', '.join(ids)}")


def newest(connection: Connection, limit: int, *, every: bool) -> list[ApprovalRecord]:
    """Requests that are open, oldest first; `every`: the newest of all, newest first."""
    where = "" if every else f" WHERE {_OPEN}"
    order = "DESC" if every else "ASC"
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM approval{where} ORDER BY id {order} LIMIT ?", (limit,)
    )
    return [_record(row) for row in rows]


def pending(connection: Connection, now_us: int) -> int:
    """How many requests wait for a person whose time has not run out."""
    return int(
        connection.exec_driver_sql(
            f"SELECT count(*) FROM approval WHERE {_OPEN} AND state = 'pending'"
            " AND expires_at > ?",
            (now_us,),
        ).scalar_one()
    )


def of_task(connection: Connection, task: str) -> list[ApprovalRecord]:
    """The requests of a task, in the order they were made."""
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM approval WHERE task_id = ? ORDER BY id", (task,)
    )
    return [_record(row) for row in rows]


def decide(connection: Connection, record: ApprovalRecord, was: ApprovalState) -> bool:
    """Write what a person decided; False when it is no longer in that state."""
    changed = connection.exec_driver_sql(
        "UPDATE approval SET state = ?, approver = ?, approver_hash = ?, assurance = ?,"
        " reason = ?, signature = ?, decided_at = ? WHERE id = ? AND state = ?",
        (record.state.value, record.approver, record.approver_hash, record.assurance)
        + (record.reason, record.signature, record.decided_at, record.id, was.value),
    )
    return changed.rowcount == 1


def close(
    connection: Connection, id: str, was: ApprovalState, state: ApprovalState, now_us: int
) -> bool:
    """End a request; False when it is no longer in the state that it was seen in."""
    changed = connection.exec_driver_sql(
        "UPDATE approval SET state = ?, closed_at = ? WHERE id = ? AND state = ?",
        (state.value, now_us, id, was.value),
    )
    return changed.rowcount == 1


def open_of(connection: Connection, tasks: Iterable[str]) -> list[tuple[str, str, str, int]]:
    """The open requests of tasks, kept from other writers: id, state, task, step."""
    rows = connection.exec_driver_sql(
        f"SELECT id, state, task_id, step FROM approval WHERE {_OPEN}"
        " AND task_id IN (SELECT value FROM json_each(?)) ORDER BY id /* lock */",
        (json.dumps(list(tasks)),),
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def commit_of(connection: Connection, task: str) -> str | None:
    """The commit that a task is pinned to."""
    found = connection.exec_driver_sql("SELECT commit_sha FROM task WHERE id = ?", (task,))
    commit = found.scalar_one_or_none()
    return None if commit is None else str(commit)


def logged(connection: Connection, kind: EntryType, record: ApprovalRecord) -> bool:
    """Whether the log says this of the request, and of the very bytes that are stored.

    A row that somebody wrote into the table without the log is worth nothing.
    """
    return any(
        entry.fields.get("approval") == record.id
        and entry.fields.get("digest") == digest_of(record.raw)
        for entry in audit.read(connection, task=record.task, type_prefix=kind.value)
    )


def approvers(connection: Connection, namespace: str) -> list[Declared]:
    """The Approvers of a namespace as recorded now, by name."""
    rows = connection.exec_driver_sql(
        "SELECT name, body, spec_hash FROM resource"
        " WHERE kind = 'Approver' AND namespace = ? ORDER BY name",
        (namespace,),
    )
    return [Declared(row[0], _approver(row[1]), row[2]) for row in rows]


def _approver(body: str) -> Approver:
    spec = kinds.spec_of("Approver", body)
    assert isinstance(spec, Approver)
    return spec


def _state(id: str, stored: str) -> ApprovalState:
    if stored not in set(ApprovalState):
        raise tampered(id)
    return ApprovalState(stored)


def _record(row: Sequence[Any]) -> ApprovalRecord:
    return ApprovalRecord(
        id=row[0],
        task=row[1],
        step=row[2],
        state=_state(row[0], row[3]),
        # Anything but bytes was not written by us, and fits no digest.
        raw=bytes(row[4]) if isinstance(row[4], bytes | memoryview) else b"",
        digest=row[5],
        requested_at=row[6],
        expires_at=row[7],
        approver=row[8],
        approver_hash=row[9],
        assurance=row[10],
        reason=row[11],
        signature=row[12],
        decided_at=row[13],
        closed_at=row[14],
    )
