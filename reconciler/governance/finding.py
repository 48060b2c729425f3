"""A finding: what a change means for who may do what, in words and with its place. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from runner.contract.kinds import Key


class Severity(StrEnum):
    """Whether more is possible after the change than before it."""

    WIDENS = "widens"
    """Somebody may do more, or is watched less."""
    NARROWS = "narrows"
    """Somebody may do less, or is watched more."""
    NEUTRAL = "neutral"
    """Worth knowing, and neither of the two."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One finding. `rule` is a stable id; a `loud` one turns a protection off for many."""

    severity: Severity
    resource: Key
    sentence: str
    path: str
    line: int
    rule: str
    loud: bool = False

    @property
    def place(self) -> str:
        """`path:line`."""
        return f"{self.path}:{self.line}"
