"""What led to a change of the recorded state, and how it ended. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.control import Control


class Cause(StrEnum):
    """Why the recorded state was to change."""

    PUSH = "push"
    """The daemon found another commit, or other settings."""
    REQUEST = "request"
    """Somebody asked for a look: `orloj reconcile`."""
    PLAN = "plan"
    """A person applied a saved plan."""
    HAND = "hand"
    """A person applied files: `orloj apply -f`."""
    HEAL = "heal"
    """Drift was set right."""
    CANARY = "canary"
    """A revision failed its canary, and was put back."""


class Result(StrEnum):
    """How it ended."""

    APPLIED = "applied"
    """The recorded state is what the plan said."""
    CANARY = "canary"
    """Applied; its evaluation tasks are not over."""
    CANARY_FAILED = "canary_failed"
    """Applied, and put back, since an evaluation task did not succeed."""
    REVERTED = "reverted"
    """An earlier revision was put back."""
    REJECTED = "rejected"
    """The commit has mistakes or is not trusted; nothing changed."""
    BLOCKED = "blocked"
    """The plan may not be applied as things stand; nothing changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What led to an apply: `actor` is the owner where nobody else is named.

    `began_us` is when the work began, on the boot clock.
    """

    cause: Cause = Cause.PUSH
    actor: str = ""
    began_us: int | None = None
    message: str = ""

    @property
    def result(self) -> Result:
        """How an apply with this cause ends."""
        return Result.REVERTED if self.cause is Cause.CANARY else Result.APPLIED


def of(control: Control, began_us: int) -> Trigger:
    """What leads to a look that begins now: somebody who asked, or another commit."""
    if not control.asked:
        return Trigger(began_us=began_us)
    actor = control.requested_by or ""
    return Trigger(cause=Cause.REQUEST, actor=actor, began_us=began_us)
