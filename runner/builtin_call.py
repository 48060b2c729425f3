"""A call of a built-in tool that was allowed: what it may use, and which family answers it.

The guard makes one after the decision is durable, and `answer` hands it to the module of its
family, imported when a task first needs it: `async def answer(call) -> Answered`, ToolFailed.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from runner.contract.kinds.base import SecretAuth
from runner.link import Link
from runner.manifest_set import ManifestSet, PlacedAgent
from runner.tools import Answered, Bounds

_MODULES: Final = {"memory": "runner.memory.answering", "orloj": "runner.child.answering"}
"""Who answers the tools of a family, by what stands before the dot of their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinCall:
    """One call, of one step of a task. `secret` gives the value of what a resource names."""

    tool: str
    arguments: dict[str, Any]
    task: str
    fence: int
    step: int
    agent: PlacedAgent
    manifests: ManifestSet
    bounds: Bounds
    hidden: tuple[str, ...]
    """The secret values of the task, which no answer may hold."""
    secret: Callable[[SecretAuth | None, str], str | None]
    link: Link

    @property
    def idempotency_key(self) -> str:
        """The same whenever this very call is made again."""
        return f"{self.task}:{self.step}"


async def answer(call: BuiltinCall) -> Answered:
    """What the tool says; ToolFailed."""
    module = importlib.import_module(_MODULES[call.tool.partition(".")[0]])
    answered: Answered = await module.answer(call)
    return answered
