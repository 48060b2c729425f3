"""The notifications that are to be sent: rows, written with what they tell of.

    waiting ──told──> sent
    waiting ──tried too often, or refused──> failed

Whoever takes some has a minute to send them before another host may: a hook that hears of
something twice sees the same `Idempotency-Key`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner.approval.request import ApprovalRequest
from runner.contract import clock
from runner.contract.kinds.namespace import Notification

REQUESTED: Final = "approval.requested"
DECIDED: Final = "approval.decided"
TAKEN_US: Final = 60_000_000
TAKEN_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification in the hands of a sender; `attempts` counts this one."""

    id: str
    approval: str
    event: str
    namespace: str
    hook: Notification
    attempts: int


def post(
    connection: Connection,
    request: ApprovalRequest,
    event: str,
    hooks: Sequence[Notification],
    now_us: int,
) -> None:
    """Have every hook told of an event, in the transaction that the event happens in."""
    for hook in hooks:
        said = hook.model_dump(mode="json", by_alias=True, exclude_none=True)
        text = json.dumps({"namespace": request.call.namespace, "hook": said}, sort_keys=True)
        connection.exec_driver_sql(
            "INSERT INTO notification (id, approval_id, event, hook, state, attempts, due_at,"
            " created_at) VALUES (?, ?, ?, ?, 'waiting', 0, ?, ?)",
            (clock.new_id(), request.id, event, text, now_us, now_us),
        )


def next_due_us(connection: Connection) -> int | None:
    """When the next one is to be sent; None: there is none."""
    found = connection.exec_driver_sql(
        "SELECT due_at FROM notification WHERE state = 'waiting' ORDER BY due_at LIMIT 1"
    ).scalar_one_or_none()
    return None if found is None else int(found)


def take(connection: Connection, now_us: int) -> list[Notice]:
    """Those that are due, kept for us for a minute."""
    rows = connection.exec_driver_sql(
        "SELECT id, approval_id, event, hook, attempts FROM notification"
        " WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ? /* skip locked */",
        (now_us, TAKEN_MAX),
    ).all()
    for row in rows:
        connection.exec_driver_sql(
            "UPDATE notification SET due_at = ?, attempts = attempts + 1 WHERE id = ?",
            (now_us + TAKEN_US, row[0]),
        )
    return [_notice(*row) for row in rows]


def put_back(connection: Connection, id: str, due_at: int, error: str) -> None:
    """Send it later."""
    connection.exec_driver_sql(
        "UPDATE notification SET due_at = ?, error = ? WHERE id = ? AND state = 'waiting'",
        (due_at, error, id),
    )


def close(connection: Connection, id: str, error: str | None, now_us: int) -> bool:
    """It was sent, or given up; False when somebody else has said so already."""
    changed = connection.exec_driver_sql(
        "UPDATE notification SET state = ?, error = ?, closed_at = ?"
        " WHERE id = ? AND state = 'waiting'",
        ("sent" if error is None else "failed", error, now_us, id),
    )
    return changed.rowcount == 1


def _notice(id: str, approval: str, event: str, text: str, attempts: int) -> Notice:
    value: dict[str, Any] = json.loads(text)
    hook = Notification.model_validate(value["hook"])
    return Notice(id, approval, event, value["namespace"], hook, attempts + 1)
