"""The notifications that are to be sent: rows, written with what they tell of.

waiting ──told──> sent
waiting ──tried too often──> failed
"""

import json
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from runner.approval_request import ApprovalRequest
from runner.contract import clock
from runner.contract.kinds.namespace import Notification

REQUESTED: Final = "approval.requested"
DECIDED: Final = "approval.decided"


def post(
    connection: Connection,
    request: ApprovalRequest,
    event: str,
    hooks: Sequence[Notification],
    now_us: int,
) -> None:
    """Have every hook told of an event, in the transaction that the event happens in."""
    for hook in hooks:
        text = json.dumps(
            {
                "namespace": request.call.namespace,
                **hook.model_dump(mode="json", by_alias=True, exclude_none=True),
            },
            sort_keys=True,
        )
        connection.exec_driver_sql(
            "INSERT INTO notification (id, approval_id, event, hook, state, attempts, due_at,"
            " created_at) VALUES (?, ?, ?, ?, 'waiting', 0, ?, ?)",
            (clock.new_id(), request.id, event, text, now_us, now_us),
        )
