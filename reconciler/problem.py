"""A mistake in a manifest, as a value: where it is, what is wrong, what to do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a problem stops the commit."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem. Lines and columns count from 1; `excerpt` is the line of text itself."""

    path: str
    line: int
    column: int
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR
    excerpt: str | None = None

    def __str__(self) -> str:
        """As editors and terminals link it: `path:line:column: message`."""
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether any of them stops the commit."""
    return any(problem.severity is Severity.ERROR for problem in problems)
