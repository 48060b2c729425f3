"""What a webhook is told about a request for approval. Pure.

A notification says that somebody must look, and where; the call itself is shown by `orloj
approvals show`. Arguments are never in it: they may be personal, and chats keep everything.
"""

import json
from typing import Any, Literal

from runner.approval.request import ApprovalRecord
from runner.contract.webhook import slack_code


def body(form: Literal["json", "slack"], event: str, record: ApprovalRecord) -> bytes:
    """The body of a notification in the form that its hook takes; Refused if edited."""
    value = _slack(event, record) if form == "slack" else _plain(event, record)
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")


def _plain(event: str, record: ApprovalRecord) -> dict[str, Any]:
    request = record.request()
    call = request.call
    return {
        "event": event,
        "id": record.id,
        "state": record.state.value,
        "task": call.task,
        "step": call.step,
        "agent": call.agent,
        "namespace": call.namespace,
        "chain": list(call.chain),
        "tool": call.tool,
        "permissions": list(call.permissions),
        "arguments_digest": call.arguments,
        "commit": call.commit,
        "rule": request.rule,
        "why": request.reason,
        "digest": record.digest,
        "requested_at_us": request.requested_at,
        "expires_at_us": request.expires_at,
        "approver": record.approver,
        "assurance": record.assurance,
        "show": f"orloj approvals show {record.id}",
    }


def _slack(event: str, record: ApprovalRecord) -> dict[str, Any]:
    request = record.request()
    call = request.call
    what = f"{slack_code(call.agent)} wants to call {slack_code(call.tool)}"
    if call.permissions:
        what += f" ({slack_code(' '.join(call.permissions))})"
    if record.decided_at is None:
        minutes = max(0, request.expires_at - request.requested_at) // 60_000_000
        what += f" and needs a person within {minutes} minutes"
    else:
        what += f": {record.state.value} by {slack_code(record.approver or '-')}"
    return {"text": f"{what}. {slack_code(f'orloj approvals show {record.id}')}"}
