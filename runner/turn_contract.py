"""What a turn must hold to be over: tools that succeeded, markers, an answer of a shape. Pure.

text ──> of the shape of `output_schema`? ──> every tool of `tool_sequence` succeeded?
     ──> every marker in the text? ──> met, or what is missing
"""

import importlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from runner.contract.kinds.agent import Execution


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a text lacks as the end of a turn. `text` is it in the form that is kept.

    `shaped` says whether it is of the shape that is asked for, if one is.
    """

    text: str
    tools: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    shape: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether nothing is missing."""
        return not (self.tools or self.markers or self.shape)

    @property
    def shaped(self) -> bool:
        """Whether it is of the shape that is asked for, if one is."""
        return not self.shape

    @property
    def field(self) -> str:
        """The field of `spec.execution` that is not met; the first of several."""
        if self.shape:
            return "output_schema"
        return "tool_sequence" if self.tools else "required_output_markers"

    @property
    def reason(self) -> str:
        """What is missing, for whoever reads why the turn failed."""
        missing = [f"the answer does not fit output_schema: {one}" for one in self.shape[:1]]
        if self.tools:
            missing.append(f"tools that did not succeed: {', '.join(self.tools)}")
        if self.markers:
            missing.append(f"markers that the answer does not hold: {_listed(self.markers)}")
        return f"the turn's contract is not met: {'; '.join(missing)}"

    @property
    def repair(self) -> str:
        """What is missing, for the model."""
        lines = ["Your answer cannot be taken yet."]
        lines += [f"- Call the tool {tool}: it must succeed." for tool in self.tools]
        lines += [f"- The answer must hold this text: {marker}" for marker in self.markers]
        if self.shape:
            lines.append("- The answer must be JSON that fits the schema, and nothing else:")
            lines += [f"  - {error}" for error in self.shape]
        return "\n".join([*lines, "Put that right, then answer again in full."])


def judge(execution: Execution, text: str, succeeded: Collection[str]) -> Judgement:
    """What a text lacks as the end of a turn in which these tools succeeded."""
    kept, shape = _shaped(execution.output_schema, text)
    if execution.profile != "contract":
        return Judgement(kept, shape=shape)
    tools = dict.fromkeys(tool for tool in execution.tool_sequence if tool not in succeeded)
    markers = dict.fromkeys(
        marker for marker in execution.required_output_markers if marker not in text
    )
    return Judgement(kept, tuple(tools), tuple(markers), shape)


def _shaped(schema: dict[str, Any] | None, text: str) -> tuple[str, tuple[str, ...]]:
    if schema is None:
        return text, ()
    # The library behind it is loaded where an agent asks for a shape, and nowhere else.
    checker = importlib.import_module("runner.contract.output_schema")
    value, errors = checker.read(schema, text)
    return (text if value is None else value), tuple(errors)


def _listed(markers: Collection[str]) -> str:
    return ", ".join(f"`{marker}`" for marker in markers)
