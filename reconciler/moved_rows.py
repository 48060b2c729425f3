"""What follows a resource to its new name, and the record of where it was before.

A schedule takes along how far it is decided and its moments, a webhook the events it knows,
so that none runs twice or is lost. What is counted by an agent's name does not follow: limits
begin anew, and an approval is worth nothing for a call of the new name (docs/plan.md says why).

Plain statements over the caller's connection. Nothing here decides anything.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from reconciler.change import Change
from runner.contract.kinds import Key

CHAIN_MAX: Final = 100

_RECORD: Final = (
    "INSERT INTO resource_move (namespace, kind, name, serial, from_namespace, from_name,"
    " reason_code, commit_sha, moved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_BEFORE: Final = (
    "SELECT from_namespace, from_name, serial FROM resource_move"
    " WHERE namespace = ? AND kind = ? AND name = ? AND serial < ?"
    " ORDER BY serial DESC LIMIT 1"
)
_TABLES: Final = {
    "TaskSchedule": ("schedule", "schedule_fire"),
    "TaskWebhook": ("task_webhook", "task_webhook_event"),
}


def carry(
    connection: Connection,
    moved: Iterable[Change],
    *,
    serial: int,
    commit: str | None,
    now_us: int,
) -> None:
    """Let everything follow that follows, and record the moves."""
    found = sorted(
        (change.previous, change) for change in moved if change.previous is not None
    )  # Rows of schedules are locked by key, in the order in which they are settled.
    for previous, change in found:
        connection.exec_driver_sql(
            _RECORD,
            (*change.key, serial, previous.namespace, previous.name)
            + (change.code.value, commit, now_us),
        )
        for table in _TABLES.get(change.key.kind, ()):
            _carry(connection, table, previous, change.key)


def former(connection: Connection, key: Key) -> list[Key]:
    """The names that a resource had before, newest first."""
    found: list[Key] = []
    serial = 2**62
    while len(found) < CHAIN_MAX:
        row = connection.exec_driver_sql(_BEFORE, (*key, serial)).one_or_none()
        if row is None:
            break
        key, serial = Key(row[0], key.kind, row[1]), row[2]
        found.append(key)
    return found


def _carry(connection: Connection, table: str, old: Key, new: Key) -> None:
    # What an earlier resource of the new name left behind is not this one's past.
    connection.exec_driver_sql(
        f"DELETE FROM {table} WHERE namespace = ? AND name = ?",  # noqa: S608
        (new.namespace, new.name),
    )
    connection.exec_driver_sql(
        f"UPDATE {table} SET namespace = ?, name = ?"  # noqa: S608
        " WHERE namespace = ? AND name = ?",
        (new.namespace, new.name, old.namespace, old.name),
    )
