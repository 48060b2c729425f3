"""What happened to repositories and their resources, for people and for notifications.

An event that repeats the last one of its repository is counted and not written again. The
oldest make room; what must be kept for ever is in the audit log.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

EVENTS_MAX: Final = 10_000
_ROOM_EVERY: Final = 100


class EventSeverity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. `reason` is a stable name, `message` a sentence."""

    source: str
    severity: EventSeverity
    reason: str
    message: str
    commit: str | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it is kept: `count` times from `first_at` to `last_at`, microseconds UTC."""

    id: int
    event: Event
    count: int
    first_at: int
    last_at: int


_COLUMNS: Final = "source, severity, reason, message, commit_sha, resource"


def record(connection: Connection, event: Event, now_us: int) -> None:
    """Keep an event, or count it where it repeats the last one."""
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
    return [
        EventRecord(
            row[0],
            Event(
                source=row[1],
                severity=EventSeverity(row[2]),
                reason=row[3],
                message=row[4],
                commit=row[5],
                resource=row[6],
            ),
            *row[7:],
        )
        for row in reversed(rows)
    ]


def _values(event: Event) -> tuple[str | None, ...]:
    return (
        *(event.source, event.severity.value, event.reason, event.message),
        *(event.commit, event.resource),
    )
