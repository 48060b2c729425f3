"""A call of a tool and its tries: once more only where that cannot do a thing twice.

    try ──answer──> done
     ^ └──failure──> may it pass? may the call be repeated? tries left? ──no──> failed
     └── wait, and be sure that the task is still ours ──yes──┘

A failure may pass if it says so. A call may be repeated if its tool is declared idempotent,
or if the failure says that nothing was done: nobody took the connection, or the server put
us off. All tries carry the same idempotency key, and each that failed is kept and logged.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from runner import retry, tools
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.contract.telemetry import log
from runner.retry import Policy
from runner.tools import Answered, Call

_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Try:
    """A try that failed, and how long was waited after it."""

    code: str
    message: str
    wait_s: float

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {"code": self.code, "error": self.message, "wait_ms": int(self.wait_s * 1_000)}


async def made(
    tool: Tool,
    arguments: dict[str, Any],
    call: Call,
    tries: list[Try],
    ours: Callable[[], None],
) -> Answered:
    """What the tool answered at last; ToolFailed of the last try, and what `ours` raises.

    The tries that failed before are put into `tries`. `ours` raises when the task has become
    somebody else's, who may be making the call already.
    """
    while True:
        number = len(tries) + 1
        try:
            return await tools.call(tool, arguments, replace(call, attempt=number))
        except ToolFailed as error:
            wait_s = pause_s(tool, error, number, _random.random())
            if wait_s is None:
                raise
            tries.append(Try(error.code.value, str(error), wait_s))
            log(
                "tool_retried",
                "A tool is called again.",
                task=call.caller.task,
                tool=call.caller.tool,
                attempt=number,
                code=error.code.value,
            )
        await asyncio.sleep(wait_s)
        ours()


def pause_s(tool: Tool, failure: ToolFailed, number: int, draw: float) -> float | None:
    """Seconds to wait after the try of this number, from 1; None: it is not made again.

    Who asks to be left alone for longer than `max_backoff` is not asked again.
    """
    written = tool.runtime.retry
    repeatable = tool.idempotent or failure.untouched
    if number >= written.max_attempts or not failure.retryable or not repeatable:
        return None
    longest_s = seconds(written.max_backoff)
    if (failure.retry_after_s or 0.0) > longest_s:
        return None
    policy = Policy(written.max_attempts, seconds(written.backoff), longest_s, written.jitter)
    return max(retry.wait_s(number, policy, draw), failure.retry_after_s or 0.0)
