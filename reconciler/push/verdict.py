"""The answer to a push, as a value. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.change import Block, Plan
from reconciler.problem import Problem


class Ending(StrEnum):
    """How the look at a push ends."""

    ACCEPTED = "accepted"
    """It goes on, and is applied."""
    WAITING = "waiting"
    """It goes on, and is applied when what blocks the plan is over."""
    PLAN_ONLY = "plan only"
    """It does not go on, and was not meant to."""
    STALE = "stale"
    """It does not go on: the plan that was approved is not the one it has."""
    REFUSED = "refused"
    """It does not go on: what it brings cannot be applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to a push, and all that led to it.

    `sentences` say what no plan, problem or block says. `approvable` is a push that only
    lacks the approval of its plan.
    """

    ending: Ending
    commit: str = ""
    plan: Plan | None = None
    problems: tuple[Problem, ...] = ()
    blocks: tuple[Block, ...] = ()
    sentences: tuple[str, ...] = ()
    approvable: bool = False

    @property
    def passes(self) -> bool:
        """Whether the ref may move."""
        return self.ending in (Ending.ACCEPTED, Ending.WAITING)
