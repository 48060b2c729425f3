"""Tool contract v1: what a call is written as, and how its answer is read. Pure.

    request   tool_contract_version, request_id, task_id, namespace, agent, tool, input,
              input_raw, runtime, auth, attempt
    answer    request_id, status (ok, error, denied; or not done yet), output, error

The request names the tool's secret and never holds it. An answer is what a stranger wrote.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from runner.contract import seal
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.tools import Call

VERSION: Final = "v1"
HEADER: Final = "X-Tool-Contract-Version"
OVERHEAD_BYTES: Final = 65_536
"""What an envelope may take besides the output in it."""
SAID_CHARACTERS: Final = 300

_DONE: Final = frozenset({"ok", "success"})
_UNDONE: Final = frozenset({"accepted", "pending", "queued", "running"})
_KNOWN: Final = frozenset(
    {"tool_contract_version", "request_id", "status", "output", "result", "usage", "error"}
    | {"trace", "task_id", "namespace", "agent"}
)
_OURS_ALONE: Final = frozenset(
    {ToolCode.APPROVAL_PENDING, ToolCode.APPROVAL_DENIED, ToolCode.APPROVAL_TIMEOUT}
)
"""Codes that tell of our own people: no server may say them."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The tool has begun and is not done."""


def request(tool: Tool, arguments: dict[str, Any], call: Call) -> bytes:
    """The call as an envelope."""
    raw = _json(arguments)
    retry = tool.runtime.retry
    body: dict[str, Any] = {
        "tool_contract_version": VERSION,
        "request_id": call.idempotency_key,
        "task_id": call.caller.task,
        "namespace": call.caller.namespace,
        "agent": call.caller.agent,
        "tool": {
            "name": call.caller.tool,
            "operation": "invoke",
            "capabilities": tool.capabilities,
            "risk_level": tool.risk_level,
        },
        "input": arguments,
        "input_raw": raw,
        "runtime": {
            "mode": tool.type,
            "timeout_ms": int(seconds(tool.runtime.timeout) * 1_000),
            "max_attempts": retry.max_attempts,
            "backoff": retry.backoff,
            "max_backoff": retry.max_backoff,
            "jitter": retry.jitter,
        },
        "attempt": call.attempt,
    }
    if tool.auth is not None:
        auth = tool.auth
        body["auth"] = {
            "profile": auth.profile,
            "secret_ref": auth.secret_ref,
            "scopes": auth.scopes,
        }
    return _json(body).encode("utf-8", "replace")


def answer(text: str, call: Call, hidden: Collection[str]) -> str | Pending:
    """What the tool says, or that it is not done; ToolFailed."""
    body = _object(text)
    if body is None or not isinstance(body.get("status"), str):
        raise ToolFailed("the tool answered with no envelope of tool contract v1")
    return _read(body, call, hidden)


def loose(text: str, call: Call, hidden: Collection[str]) -> str | None:
    """The same for a tool that may answer as it likes; None when it is no envelope.

    Many an API says `status` and `error` of its own: an envelope has no field besides its own.
    """
    if not text.lstrip().startswith("{"):
        return None
    body = _object(text)
    if body is None or not body.keys() <= _KNOWN:
        return None
    status = body.get("status")
    told = ("output" in body) if status == "ok" else isinstance(body.get("error"), dict)
    if status not in {"ok", "error", "denied"} or not told:
        return None
    found = _read(body, call, hidden)
    assert isinstance(found, str)
    return found


def _read(body: dict[str, Any], call: Call, hidden: Collection[str]) -> str | Pending:
    version = body.get("tool_contract_version") or VERSION
    if version != VERSION:
        shown = seal.excerpt(str(version), 20, hidden)
        raise ToolFailed(
            f"the tool answered in tool contract {shown}, and {VERSION} is spoken here",
            code=ToolCode.UNSUPPORTED_TOOL,
        )
    if (body.get("request_id") or call.idempotency_key) != call.idempotency_key:
        raise ToolFailed("the tool's answer is for another call")
    match body["status"]:
        case status if status in _DONE:
            return _output(body)
        case status if status in _UNDONE:
            return Pending()
        case "denied":
            raise failure(body.get("error"), ToolCode.PERMISSION_DENIED, hidden)
        case "error":
            raise failure(body.get("error"), ToolCode.EXECUTION_FAILED, hidden)
    raise ToolFailed("the tool's answer has a status that tool contract v1 does not know")


def _output(body: dict[str, Any]) -> str:
    output = body.get("output", body.get("result"))
    if isinstance(output, dict) and output.keys() == {"result"}:
        output = output["result"]
    if output is None:
        return ""
    return output if isinstance(output, str) else _json(output)


def failure(error: Any, code: ToolCode, hidden: Collection[str]) -> ToolFailed:
    """What an error object of an answer says, as far as it is believed."""
    error = error if isinstance(error, dict) else {}
    named = error.get("code", error.get("tool_code"))
    if isinstance(named, str) and named in set(ToolCode) - _OURS_ALONE:
        code = ToolCode(named)
    words = (
        error.get("message") or error.get("reason") or error.get("tool_reason") or "no reason"
    )
    said = seal.excerpt(str(words), SAID_CHARACTERS, hidden)
    retryable = error.get("retryable") is True and code is not ToolCode.PERMISSION_DENIED
    return ToolFailed(f"the tool says: {said}", code=code, retryable=retryable)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
