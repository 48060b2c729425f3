"""The rows of resources: written, moved and deleted as a plan says, with what they name.

    changes ──> rows put, rows gone ──> references ──> sealed secrets ──> what follows a move

Only what the plan looked at is deleted: a row that is another by now makes the plan stale.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection

from reconciler import moved_rows
from reconciler.change import Change, Plan
from reconciler.resource import Resource
from runner.contract import errors
from runner.contract.kinds import Key

_UPSERT: Final = (
    "INSERT INTO resource (namespace, kind, name, owner, commit_sha, path, line, blob,"
    " spec_hash, body, lines, generation, applied_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (namespace, kind, name) DO UPDATE SET owner = excluded.owner,"
    " commit_sha = excluded.commit_sha, path = excluded.path, line = excluded.line,"
    " blob = excluded.blob, spec_hash = excluded.spec_hash, body = excluded.body,"
    " lines = excluded.lines, generation = excluded.generation,"
    " applied_at = excluded.applied_at"
)
_RELOCATE: Final = (
    "UPDATE resource SET line = ?, blob = ?, lines = ?"
    " WHERE namespace = ? AND kind = ? AND name = ?"
)
_DELETE: Final = (
    "DELETE FROM resource WHERE namespace = ? AND kind = ? AND name = ?"
    " AND owner = ? AND body = ?"  # What the plan looked at and nothing else.
)
_REMOVE: Final = "DELETE FROM resource WHERE namespace = ? AND kind = ? AND name = ?"
_FORGET: Final = (
    "DELETE FROM reference WHERE from_namespace = ? AND from_kind = ? AND from_name = ?"
)
_REFER: Final = (
    "INSERT INTO reference (from_namespace, from_kind, from_name, to_namespace,"
    " to_kind, to_name, line, required) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (from_namespace, from_kind, from_name, to_namespace, to_kind, to_name)"
    " DO UPDATE SET line = excluded.line, required = excluded.required"
)
_SEAL: Final = (
    "INSERT INTO sealed_secret (digest, ciphertext) VALUES (?, ?) ON CONFLICT DO NOTHING"
)


def write(connection: Connection, planned: Plan, now_us: int) -> None:
    """Write what changes, with what it names and the secret values it seals; no entry.

    PlanStale when something to be deleted is not as the plan saw it.
    """
    put = [change for change in planned.changes if change.after is not None]
    lost = [
        change.before
        for change in planned.changes
        if change.before is not None and (change.after is None or change.previous)
    ]
    gone = [item.key for item in lost]
    standing = [change.after for change in put if change.after] + list(planned.relocated)
    _many(connection, _UPSERT, (_row(planned, change, now_us) for change in put))
    _many(
        connection,
        _RELOCATE,
        ((item.line, item.blob, _lines(item), *item.key) for item in planned.relocated),
    )
    deleted = _many(connection, _DELETE, ((*item.key, item.owner, item.body) for item in lost))
    if deleted != len(lost):
        raise errors.PlanStale(
            f"plan {planned.short_id} deletes {len(lost)} resources, and only {deleted} of them"
            " are recorded as it saw them; run orloj plan again"
        )
    _many(connection, _FORGET, (tuple(key) for key in [*gone, *(r.key for r in standing)]))
    _many(
        connection,
        _REFER,
        (
            (*item.key, *mention.target, mention.line, mention.required)
            for item in standing
            for mention in item.mentions
        ),
    )
    _many(connection, _SEAL, (pair for item in standing for pair in item.sealed))
    moved_rows.carry(
        connection,
        planned.changes,
        serial=planned.target.serial + 1,
        commit=planned.target.commit,
        now_us=now_us,
    )


def remove(connection: Connection, keys: Iterable[Key]) -> None:
    """Delete rows whatever they hold, with what they name."""
    listed = [tuple(key) for key in keys]
    _many(connection, _REMOVE, listed)
    _many(connection, _FORGET, listed)


def _row(planned: Plan, change: Change, now_us: int) -> tuple[Any, ...]:
    after = change.after
    assert after is not None
    generation = change.before.generation if change.before else 0
    return (
        (*after.key, planned.target.owner, planned.target.commit, after.path, after.line)
        + (after.blob, after.spec_hash, after.body, _lines(after))
        + (generation + change.respecified, now_us)
    )


def _lines(resource: Resource) -> str:
    return json.dumps(dict(resource.lines), separators=(",", ":"), ensure_ascii=False)


def _many(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> int:
    """Carry a statement out for each row; how many rows of the table that changed."""
    listed = list(rows)
    return connection.exec_driver_sql(statement, listed).rowcount if listed else 0
