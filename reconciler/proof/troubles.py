"""What keeps the log from being signed or published: told once, shown until it is over.

    well ──begin──> trouble (event, entry, log line) ──over──> well (event)

A failure that goes on is one trouble however often it is tried again, over restarts too.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from runner.contract import audit, telemetry
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType

SOURCE: Final = "audit-log"
"""What events about the log itself name in the place of a repository."""
_MESSAGE_MAX: Final = 1_000
_FAILED: Final = {
    "signing": "audit_signing_failed",
    "publishing": "audit_publishing_failed",
    "cosigning": "audit_cosigning_failed",
}
_ALL = "SELECT part, reason, message, since_at FROM audit_trouble"
_SET = (
    "INSERT INTO audit_trouble (part, reason, message, since_at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (part) DO UPDATE SET reason = excluded.reason, message = excluded.message"
)
_CLEAR = "DELETE FROM audit_trouble WHERE part = ?"


class Part(StrEnum):
    """What does not work."""

    SIGNING = "signing"
    PUBLISHING = "publishing"
    COSIGNING = "cosigning"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something does not work, and since when. `reason` is a stable name."""

    part: Part
    reason: str
    message: str
    since_at: int = 0
    alarm: bool = False
    """Whether the log or the remote is not what was signed: a person must look."""


def standing(connection: Connection) -> dict[Part, Trouble]:
    """What is in the way now."""
    rows: Sequence[Any] = connection.exec_driver_sql(_ALL).all()
    return {Part(row[0]): Trouble(Part(row[0]), *row[1:]) for row in rows}


def begin(connection: Connection, trouble: Trouble, now_us: int) -> None:
    """Keep a trouble, and tell of it unless it was told already."""
    before = standing(connection).get(trouble.part)
    message = trouble.message[:_MESSAGE_MAX]
    values = (trouble.part.value, trouble.reason, message, now_us)
    connection.exec_driver_sql(_SET, values)
    known = before is not None and (before.reason == trouble.reason or not trouble.alarm)
    if known:
        return
    type = EntryType.LOG_BROKEN if trouble.alarm else EntryType.LOG_PUBLISH_FAILED
    reason = f"{trouble.reason}: {message}"
    entry = Entry(type=type, actor="daemon", commit=NO_COMMIT, reason=reason)
    if trouble.alarm or trouble.part is Part.PUBLISHING:
        audit.append(connection, [entry], now_us)
    severity = EventSeverity.ERROR if trouble.alarm else EventSeverity.WARNING
    event = Event(source=SOURCE, severity=severity, reason=trouble.reason, message=message)
    events.record(connection, event, now_us)
    telemetry.log(
        "audit_alarm" if trouble.alarm else _FAILED[trouble.part],
        message,
        level=logging.ERROR if trouble.alarm else logging.WARNING,
        reason=trouble.reason,
    )


def over(connection: Connection, part: Part, now_us: int) -> None:
    """Say that it works again, if it did not."""
    if not connection.exec_driver_sql(_CLEAR, (part.value,)).rowcount:
        return
    message = f"{part.value} the audit log works again"
    event = Event(
        source=SOURCE, severity=EventSeverity.INFO, reason="Recovered", message=message
    )
    events.record(connection, event, now_us)
    telemetry.log("audit_recovered", f"{message[0].upper()}{message[1:]}.")
