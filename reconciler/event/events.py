"""What happened to repositories and their resources, for people and for notifications.

An event that repeats the last one of its repository is counted and not written again. The
oldest make room; what must be kept for ever is in the audit log.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.event.event import Event, EventRecord, EventSeverity
from runner.contract.database import dialect

__all__ = ["Event", "EventRecord", "EventSeverity", "after", "newest", "read", "record"]

EVENTS_MAX: Final = 10_000
_ROOM_EVERY: Final = 100


_COLUMNS: Final = "source, severity, reason, message, commit_sha, resource"


def record(connection: Connection, event: Event, now_us: int) -> None:
    """Keep an event, or count it where it repeats the last one."""
    # Ids come in the order of commits, so that who reads on from one misses none.
    dialect.alone(connection, dialect.LOG)
    values = _values(event)
    last = connection.exec_driver_sql(
        f"SELECT id, {_COLUMNS} FROM event WHERE source = ?"  # noqa: S608
        " ORDER BY id DESC LIMIT 1",
        (event.source,),
    ).first()
    if last is not None and tuple(last[1:]) == values:
        connection.exec_driver_sql(
            "UPDATE event SET count = count + 1, last_at = ? WHERE id = ?", (now_us, last[0])
        )
        return
    connection.exec_driver_sql(
        f"INSERT INTO event ({_COLUMNS}, count, first_at, last_at)"  # noqa: S608
        " VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)",
        (*values, now_us, now_us),
    )
    if last is not None and last[0] % _ROOM_EVERY == 0:
        connection.exec_driver_sql(
            "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (EVENTS_MAX,)
        )


def read(
    connection: Connection, *, source: str | None = None, after: int = 0, limit: int = 1_000
) -> list[EventRecord]:
    """The newest events with an id above `after`, oldest first; all or one repository's."""
    rows = connection.exec_driver_sql(
        f"SELECT id, {_COLUMNS}, count, first_at, last_at FROM event"  # noqa: S608
        " WHERE id > ? AND (CAST(? AS TEXT) IS NULL OR source = ?) ORDER BY id DESC LIMIT ?",
        (after, source, source, limit),
    ).all()
    return [_record(row) for row in reversed(rows)]


def after(
    connection: Connection, number: int, also: Sequence[int], limit: int
) -> list[EventRecord]:
    """The oldest events above a number, and those with the numbers in `also`, by number."""
    marks = ", ".join("?" for _ in also) or "NULL"
    rows = connection.exec_driver_sql(
        f"SELECT id, {_COLUMNS}, count, first_at, last_at FROM event"  # noqa: S608
        f" WHERE id > ? OR id IN ({marks}) ORDER BY id LIMIT ?",
        (number, *also, limit + len(also)),
    )
    return [_record(row) for row in rows]


def newest(connection: Connection) -> list[EventRecord]:
    """The last event of each repository: the only ones that may still be counted."""
    rows = connection.exec_driver_sql(
        f"SELECT id, {_COLUMNS}, count, first_at, last_at FROM event"  # noqa: S608
        " WHERE id IN (SELECT max(id) FROM event GROUP BY source) ORDER BY id"
    )
    return [_record(row) for row in rows]


def _record(row: Sequence[Any]) -> EventRecord:
    event = Event(
        source=row[1],
        severity=EventSeverity(row[2]),
        reason=row[3],
        message=row[4],
        commit=row[5],
        resource=row[6],
    )
    return EventRecord(row[0], event, *row[7:])


def _values(event: Event) -> tuple[str | None, ...]:
    return (
        *(event.source, event.severity.value, event.reason, event.message),
        *(event.commit, event.resource),
    )
