"""What became of a tool call that was allowed, in the form that the journal keeps.

    content                 what the tool answered
    error, code             why it did not
    denied, code            it was not called after all, and that belongs into the log
    tries                   besides: the tries that failed before the last one

No secret is in any of them, whatever a server said back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from runner.contract.errors import LeaseLost, ToolCode, ToolDenied, ToolFailed
from runner.contract.telemetry import log
from runner.tools import Answered
from runner.tools.attempts import Try


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call, and what is told of it besides."""

    result: dict[str, Any]
    isolation: str | None = None
    tokens: int = 0

    @property
    def outcome(self) -> str:
        """Whether the tool did what was asked, as the journal says it."""
        return "executed" if "content" in self.result else "failed"

    @property
    def facts(self) -> dict[str, Any]:
        """What the entry about it says for ever. It repeats no tool's words but a denial."""
        tries = len(self.result.get("tries", ()))
        return {
            "isolation": self.isolation,
            "reason": self.result.get("denied"),
            "code": self.result.get("code"),
            "tries": tries + 1 if tries else None,
        }


async def of(
    making: Callable[[list[Try]], Awaitable[Answered]],
    redacted: Callable[[str], str],
    ids: dict[str, Any],
) -> ToolResult:
    """The result of a call; LeaseLost when the task was taken away between two tries."""
    tries: list[Try] = []
    isolation, tokens = None, 0
    result: dict[str, Any]
    try:
        answered = await making(tries)
        isolation, tokens = answered.isolation, answered.tokens
        result = {"content": redacted(answered.text)}
    except ToolDenied as error:
        log("tool_denied", "A tool is not what was pinned.", **ids)
        result = {"denied": redacted(str(error)), "code": ToolCode.PERMISSION_DENIED.value}
    except ToolFailed as error:
        isolation = error.isolation
        result = {"error": redacted(str(error)), "code": error.code.value}
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 - a tool's bug is an answer, and is logged.
        name = type(error).__name__  # Its text may hold arguments or a secret.
        log("tool_failed", "A tool met an error nobody foresaw.", **ids, error=name)
        code = ToolCode.EXECUTION_FAILED.value
        result = {"error": f"internal error ({name})", "code": code}
    if tries:
        result["tries"] = [{**one.to_json(), "error": redacted(one.message)} for one in tries]
    return ToolResult(result, isolation, tokens)
