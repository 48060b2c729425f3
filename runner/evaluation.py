"""What a task of an evaluation may do besides what it is granted: call nothing by accident.

    granted? ─no─> denied, as everywhere
       └─yes─> a stub fits ──> the stub answers, the tool is not called
                 └─ none ──> declared to read only, or named in real_tools ──> called
                                └─ neither ──> denied

Pure. The dispatcher asks before it decides, and the worker asks again before it acts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from runner.contract.kinds.eval_dataset import Sample, ToolResult
from runner.contract.kinds.eval_run import EvalRun
from runner.contract.kinds.tool import Tool

STUBBED: Final = "stub"
"""What entries say of the isolation of a call that was answered by a stub."""


class Handling(StrEnum):
    """What becomes of a call that is granted."""

    REAL = "real"
    STUB = "stub"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a call, why not, and the answer of its stub."""

    handling: Handling
    reason: str = ""
    result: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The rules of the run that a task belongs to. No sample: there are no stubs."""

    run: EvalRun
    sample: Sample | None
    rule: str
    """The `path:line` of the run."""

    def ruling(self, name: str, tool: Tool | None, arguments: Mapping[str, Any]) -> Ruling:
        """What becomes of a call that nothing else denies."""
        for stub in self.sample.tool_results if self.sample else ():
            if _fits(stub, name, arguments):
                return Ruling(Handling.STUB, result=_answer(stub))
        if self.run.tools == "stubs":
            return Ruling(
                Handling.DENIED,
                "this evaluation calls no tool, and no tool_results of its sample fit this"
                f" call of {name}",
            )
        if name in self.run.real_tools or (
            tool is not None and set(tool.operation_classes) == {"read"}
        ):
            return Ruling(Handling.REAL)
        return Ruling(
            Handling.DENIED,
            f"an evaluation does not call {name}: it does not declare operation_classes:"
            " [read], real_tools does not name it, and no tool_results of its sample fit this"
            " call",
        )


def _fits(stub: ToolResult, name: str, arguments: Mapping[str, Any]) -> bool:
    if stub.tool != name:
        return False
    return all(
        key in arguments and arguments[key] == value for key, value in stub.arguments.items()
    )


def _answer(stub: ToolResult) -> dict[str, str]:
    """The result as the journal keeps it."""
    if stub.error is not None:
        return {"error": stub.error}
    assert stub.content is not None
    return {"content": stub.content}
