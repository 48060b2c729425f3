"""Edge: from an agent of a system to the next, and when the work goes that way."""

import importlib
import re
from typing import Any, Final, Self

from pydantic import Field, field_validator, model_validator

from runner.contract.kinds.base import Strict

_PATH: Final = re.compile(r"\$?(\.?[A-Za-z_][\w-]*|\.\*|\[\d{1,6}\])+")
_PART: Final = re.compile(r"[A-Za-z_][\w-]*|\[\d{1,6}\]")
_PATTERN_MAX: Final = 500
_TEXTS: Final = ("output_contains", "output_not_contains", "output_matches")
_COMPARED: Final = ("equals", "not_equals", "contains", "greater_than", "less_than")


def path_parts(path: str) -> list[str | int]:
    """The keys and positions that a path such as `$.teams[0].name` goes through."""
    return [
        int(part[1:-1]) if part.startswith("[") else part
        for part in _PART.findall(path.removeprefix("$"))
    ]


def _text(value: Any) -> Any:
    """A number or a truth value as JSON writes it: YAML leaves quotes off."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


class Condition(Strict):
    """When an edge is taken, judged by what the agent said. All that is given must hold.

    The comparisons look at the value at `output_json_path`. `default` is taken when no edge
    with a condition is.
    """

    output_contains: str | None = Field(default=None, min_length=1)
    output_not_contains: str | None = Field(default=None, min_length=1)
    output_matches: str | None = Field(default=None, min_length=1, max_length=_PATTERN_MAX)
    default: bool = False
    output_json_path: str | None = Field(default=None, min_length=1, max_length=_PATTERN_MAX)
    equals: str | None = None
    not_equals: str | None = None
    contains: str | None = None
    greater_than: str | None = None
    less_than: str | None = None

    @field_validator(*_COMPARED, mode="before")
    @classmethod
    def _quoted(cls, value: Any) -> Any:
        return _text(value)

    @field_validator("greater_than", "less_than")
    @classmethod
    def _number(cls, value: str | None) -> str | None:
        if value is not None:
            float(value)
        return value

    @field_validator("output_matches")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        if value is not None:
            # Its library is loaded where a graph has a pattern, and nowhere else.
            importlib.import_module("runner.contract.patterns").compiled(value)
        return value

    @field_validator("output_json_path")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None and not _PATH.fullmatch(value):
            raise ValueError("is written as $.name.other[0]")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        texts = [name for name in _TEXTS if getattr(self, name) is not None]
        compared = [name for name in _COMPARED if getattr(self, name) is not None]
        path = self.output_json_path is not None
        if self.default and (texts or compared or path):
            raise ValueError("default stands alone: it is what is left when nothing else holds")
        if compared and not path:
            raise ValueError(f"{compared[0]} needs output_json_path, the value it looks at")
        if path and not compared:
            raise ValueError(f"output_json_path needs one of {', '.join(_COMPARED)}")
        if not (self.default or texts or compared):
            raise ValueError("an empty condition says nothing; leave it out")
        return self


class EdgePolicy(Strict):
    """What bounds an edge besides its condition: how often a task may go this way."""

    max_traversals: int | None = Field(default=None, ge=1, le=1000)


class Edge(Strict):
    """From a node to the next. `labels` are shown where the graph is drawn."""

    to: str = Field(min_length=1)
    condition: Condition | None = None
    labels: dict[str, str] = {}
    policy: EdgePolicy = EdgePolicy()

    @property
    def fallback(self) -> bool:
        """Whether it is taken when no edge with a condition is."""
        return self.condition is not None and self.condition.default
