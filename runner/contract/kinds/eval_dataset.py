"""EvalDataset: questions with what is expected of the answers, and stubs for the tools.

It says what is asked and when an answer is right; an EvalRun says of whom it is asked.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from runner.contract.kinds.base import Key, Name, Reference, Spec, Strict, Text, named

SAMPLES_MAX: Final = 1_000
_PATTERN_MAX: Final = 1_000
_STEP: Final = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d{1,6})\]")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")


def json_steps(path: str) -> list[str | int]:
    """The steps of `$.items[0].name`; ValueError for what is no such path."""
    steps = _STEP.findall(path[1:])
    written = "".join(f".{name}" if name else f"[{at}]" for name, at in steps)
    if not path.startswith("$") or written != path[1:]:
        raise ValueError("a JSON path looks like $.category or $.items[0].name")
    return [name or int(at) for name, at in steps]


def _json_path(text: str) -> str:
    json_steps(text)
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"the pattern cannot be read: {error}") from error
    return text


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError("a bound is a number, as in '0.8'")
    return text


class Expected(Strict):
    """When an answer is right: all that is given must hold. `output` is the whole answer.

    `output_contains` and `output_not_contains` read upper and lower case alike. The last five
    judge what stands at `output_json_path` in an answer that is JSON.
    """

    output: Text | None = None
    output_contains: Text | None = Field(default=None, min_length=1)
    output_not_contains: Text | None = Field(default=None, min_length=1)
    output_matches: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None, min_length=1, max_length=_PATTERN_MAX
    )
    output_json_path: Annotated[str, AfterValidator(_json_path)] | None = None
    equals: Text | None = None
    not_equals: Text | None = None
    contains: Text | None = Field(default=None, min_length=1)
    greater_than: Annotated[str, AfterValidator(_number)] | None = None
    less_than: Annotated[str, AfterValidator(_number)] | None = None

    @property
    def compares(self) -> bool:
        """Whether it asks for a comparison with a value in the answer."""
        bounds = (self.greater_than, self.less_than)
        return (self.equals, self.not_equals, self.contains, *bounds) != (None,) * 5

    @property
    def empty(self) -> bool:
        """Whether it expects nothing."""
        return not self.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.compares and self.output_json_path is None:
            raise ValueError(
                "equals, not_equals, contains, greater_than and less_than judge the value at"
                " output_json_path, which is not given; for the whole answer there are output,"
                " output_contains and output_matches"
            )
        return self


class Scoring(Strict):
    """How an answer becomes a score: by `expected`, by a model's judgement, or by a person."""

    strategy: Literal["exact_match", "llm_judge", "manual", "custom"] = "exact_match"
    model_ref: str | None = Field(default=None, min_length=1)
    rubric: Text = ""
    tool_ref: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.strategy == "custom" or self.tool_ref is not None:
            raise ValueError(
                "custom scoring by a tool is not offered: a tool would score outside of every"
                " record. Take exact_match (output_matches and output_json_path say much),"
                " llm_judge or manual"
            )
        judged = self.strategy == "llm_judge"
        if judged and self.model_ref is None:
            raise ValueError("llm_judge needs model_ref, the ModelEndpoint that judges")
        if not judged and (self.model_ref is not None or self.rubric):
            raise ValueError(f"{self.strategy} asks no model: model_ref and rubric say nothing")
        return self

    def judge(self, namespace: str) -> Key | None:
        """The ModelEndpoint that judges, if one does."""
        if self.model_ref is None:
            return None
        return named("ModelEndpoint", self.model_ref, namespace)


class ToolResult(Strict):
    """What stands for a tool's answer: for a call of `tool` that has these arguments."""

    tool: str = Field(min_length=1)
    arguments: dict[str, Any] = {}
    content: Text | None = None
    error: Text | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if (self.content is None) == (self.error is None):
            raise ValueError("a tool result has exactly one of content and error")
        return self


class Sample(Strict):
    """One question. The first of `tool_results` that fits a call answers it."""

    name: Name
    input: dict[str, Text] = Field(min_length=1)
    expected: Expected = Expected()
    scoring: Scoring | None = None
    tool_results: list[ToolResult] = []


class EvalDataset(Spec):
    """Samples, each a question with what is expected of the answer. See docs/evaluations.md."""

    description: Text = ""
    samples: list[Sample] = Field(min_length=1, max_length=SAMPLES_MAX)

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        seen: set[str] = set()
        for sample in self.samples:
            if sample.name.lower() in seen:
                raise ValueError(f"two samples are called {sample.name!r}; rename one")
            seen.add(sample.name.lower())
        return self

    def references(self, namespace: str) -> list[Reference]:
        """The endpoints that judge single samples."""
        return [
            Reference(judge, ("spec", "samples", at, "scoring", "model_ref"))
            for at, sample in enumerate(self.samples)
            if sample.scoring is not None
            if (judge := sample.scoring.judge(namespace)) is not None
        ]
