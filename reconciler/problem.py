"""A mistake in a manifest, as a value: where it is, what is wrong, what to do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a problem stops the commit."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A place on the way to a problem, and what is the matter there."""

    path: str
    line: int
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem. Lines and columns count from 1; `excerpt` is the line of text itself.

    `rule` is a stable id for those that report to other programs; `flow` is the way on which
    it comes about, where it does not stand in one place.
    """

    path: str
    line: int
    column: int
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR
    excerpt: str | None = None
    rule: str = "manifest"
    flow: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """As editors and terminals link it: `path:line:column: message`."""
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether any of them stops the commit."""
    return any(problem.severity is Severity.ERROR for problem in problems)
