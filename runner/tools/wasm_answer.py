"""What a module may answer by the module contract v1, read as a stranger's words. Pure."""

import json
from collections.abc import Collection
from typing import Any, Final

from runner.contract.errors import ToolCode, ToolFailed
from runner.tools import envelope

VERSION: Final = "v1"


def read(text: str, hidden: Collection[str], level: str) -> str:
    """The output of a module that says `ok`; ToolFailed for all else."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or body.get("contract_version") != VERSION:
        raise _broken("it wrote no JSON object with contract_version v1", level)
    match body.get("status"):
        case "ok" if "output" in body:
            return _text(body["output"])
        case "error":
            code = ToolCode.EXECUTION_FAILED
        case "denied":
            code = ToolCode.PERMISSION_DENIED
        case _:
            raise _broken("its status is not ok with an output, error or denied", level)
    if not isinstance(body.get("error"), dict):
        raise _broken("it names no error", level)
    failure = envelope.failure(body["error"], code, hidden)
    failure.isolation = level
    raise failure


def _text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _broken(said: str, level: str) -> ToolFailed:
    return ToolFailed(
        f"the module broke its contract: {said}",
        code=ToolCode.RUNTIME_POLICY_INVALID,
        isolation=level,
    )
