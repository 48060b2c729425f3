"""What is to be sent, as rows: made of the events behind a target's cursor, in order.

    waiting ──told──────────────> sent
       │ └──a newer status──────> overtaken
       └──too often, or refused─> failed

Cursor and rows move in one transaction: an event makes its rows exactly once. Whoever takes
one has half a minute to send it before another host may; until then nothing else is sent
about the same commit, so that an old status never arrives after a new one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.event import events
from reconciler.event.events import EVENTS_MAX, Event, EventRecord, EventSeverity
from reconciler.notify import choice
from reconciler.notify.notice import Notice, NoticeState, Status
from runner.contract import clock
from runner.contract.web_settings import Notify

TAKEN_US: Final = 30_000_000
NEWS_US: Final = 86_400_000_000
"""What happened longer ago is not told: a target may come back to the settings after a year."""
KEPT_MAX: Final = 1_000
"""Rows that are kept of each target; those that wait do not count."""
_COLUMNS: Final = (
    "id, target, source, severity, reason, message, commit_sha, resource, status, happened_at,"
    " state, attempts, due_at, error"
)


def begin(connection: Connection, names: Iterable[str]) -> None:
    """Let targets that are new hear of what happens from now on."""
    for name in names:
        connection.exec_driver_sql(
            "INSERT INTO event_cursor (target, event_id)"
            " SELECT ?, coalesce(max(id), 0) FROM event WHERE true ON CONFLICT DO NOTHING",
            (name,),
        )


def behind(connection: Connection, name: str) -> bool:
    """Whether there are events that the target's rows were not made of yet."""
    newest = connection.exec_driver_sql("SELECT max(id) FROM event").scalar_one()
    read = connection.exec_driver_sql(
        "SELECT event_id FROM event_cursor WHERE target = ?", (name,)
    ).scalar_one_or_none()
    return (newest or 0) > (read or 0)


def next_due_us(connection: Connection, name: str) -> int | None:
    """When the target's next row is to be sent; None: none waits."""
    found = connection.exec_driver_sql(
        "SELECT due_at FROM event_notification WHERE target = ? AND state = 'waiting'"
        " ORDER BY due_at LIMIT 1",
        (name,),
    ).scalar_one_or_none()
    return None if found is None else int(found)


def fill(connection: Connection, name: str, target: Notify, now_us: int) -> None:
    """Make rows of the events since the cursor, as the target wants them."""
    cursor = connection.exec_driver_sql(
        "SELECT event_id FROM event_cursor WHERE target = ? /* lock */", (name,)
    ).scalar_one()
    found = events.read(connection, after=cursor, limit=EVENTS_MAX)
    for record in found:
        if now_us - record.last_at > NEWS_US:
            continue
        troubled = _troubled(connection, name, record.event.source)
        if choice.wanted(target, record.event, troubled=troubled):
            _post(connection, name, target, record, now_us)
    if found:
        connection.exec_driver_sql(
            "UPDATE event_cursor SET event_id = ? WHERE target = ?", (found[-1].id, name)
        )
        _make_room(connection, name)


def take(connection: Connection, name: str, now_us: int) -> Notice | None:
    """The oldest of the target's rows that are due, kept for us for half a minute."""
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM event_notification"  # noqa: S608
        " WHERE target = ? AND state = 'waiting' AND due_at <= ?"
        " ORDER BY event_id LIMIT 1 /* skip locked */",
        (name, now_us),
    ).first()
    if row is None:
        return None
    until = now_us + TAKEN_US
    connection.exec_driver_sql(
        "UPDATE event_notification SET due_at = ?, taken_until = ?, attempts = attempts + 1"
        " WHERE id = ?",
        (until, until, row[0]),
    )
    return _notice(row, more=1)


def put_back(connection: Connection, id: str, due_at: int, error: str) -> None:
    """Send it later, unless it was overtaken meanwhile."""
    connection.exec_driver_sql(
        "UPDATE event_notification SET due_at = ?, taken_until = 0, error = ?"
        " WHERE id = ? AND state = 'waiting'",
        (due_at, error, id),
    )


def close(connection: Connection, id: str, error: str | None, now_us: int) -> bool:
    """It was sent, or given up; False when somebody else has said so already."""
    state = NoticeState.SENT if error is None else NoticeState.FAILED
    changed = connection.exec_driver_sql(
        "UPDATE event_notification SET state = ?, error = ?, closed_at = ?, taken_until = 0"
        " WHERE id = ? AND state = 'waiting'",
        (state.value, error, now_us, id),
    )
    return changed.rowcount == 1


def listed(connection: Connection, state: str | None, limit: int) -> list[Notice]:
    """The newest rows, newest first; all or those in a state."""
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM event_notification"  # noqa: S608
        " WHERE (CAST(? AS TEXT) IS NULL OR state = ?) ORDER BY event_id DESC, target LIMIT ?",
        (state, state, limit),
    )
    return [_notice(row) for row in rows]


def _troubled(connection: Connection, name: str, source: str) -> bool:
    """Whether the last the target heard of a repository was that something is wrong."""
    last = connection.exec_driver_sql(
        "SELECT severity FROM event_notification WHERE target = ? AND source = ?"
        " ORDER BY event_id DESC LIMIT 1",
        (name, source),
    ).scalar_one_or_none()
    return last is not None and last != EventSeverity.INFO.value


def _post(
    connection: Connection, name: str, target: Notify, record: EventRecord, now_us: int
) -> None:
    event, status, due_at = record.event, None, now_us
    if target.is_status:
        status = choice.status(event)
        assert status is not None, "not wanted"
        if not choice.is_news(status, _told(connection, name, event)):
            return
        due_at = max(now_us, _overtake(connection, name, event, now_us))
    connection.exec_driver_sql(
        f"INSERT INTO event_notification ({_COLUMNS}, event_id, taken_until)"  # noqa: S608
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, NULL, ?, 0)",
        (clock.new_id(), name, event.source, event.severity.value, event.reason)
        + (
            event.message,
            event.commit,
            event.resource,
            status,
            record.last_at,
            due_at,
            record.id,
        ),
    )


_OF_COMMIT: Final = "target = ? AND source = ? AND commit_sha = ?"


def _told(connection: Connection, name: str, event: Event) -> Status | None:
    """The last status of a commit that was sent or waits; one that was given up counts not."""
    last = connection.exec_driver_sql(
        f"SELECT status FROM event_notification WHERE {_OF_COMMIT}"  # noqa: S608
        " AND state IN ('waiting', 'sent') ORDER BY event_id DESC LIMIT 1",
        (name, event.source, event.commit),
    ).scalar_one_or_none()
    return None if last is None else Status(last)


def _overtake(connection: Connection, name: str, event: Event, now_us: int) -> int:
    """Send no older status of the commit any more; when the last of them is surely over."""
    values = (name, event.source, event.commit)
    until = connection.exec_driver_sql(
        f"SELECT max(taken_until) FROM event_notification WHERE {_OF_COMMIT}",  # noqa: S608
        values,
    ).scalar_one()
    connection.exec_driver_sql(
        "UPDATE event_notification SET state = 'overtaken', closed_at = ?"  # noqa: S608
        f" WHERE {_OF_COMMIT} AND state = 'waiting'",
        (now_us, *values),
    )
    return int(until or 0)


def _make_room(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(
        "DELETE FROM event_notification WHERE target = ? AND state <> 'waiting' AND event_id"
        " <= (SELECT event_id FROM event_notification WHERE target = ?"
        " ORDER BY event_id DESC LIMIT 1 OFFSET ?)",
        (name, name, KEPT_MAX),
    )


def _notice(row: Sequence[Any], more: int = 0) -> Notice:
    return Notice(
        id=row[0],
        target=row[1],
        event=Event(
            source=row[2],
            severity=EventSeverity(row[3]),
            reason=row[4],
            message=row[5],
            commit=row[6],
            resource=row[7],
        ),
        status=None if row[8] is None else Status(row[8]),
        happened_at=row[9],
        state=NoticeState(row[10]),
        attempts=row[11] + more,
        due_at=row[12],
        error=row[13],
    )
