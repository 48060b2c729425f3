"""What the guard says of a call, and what it is asked. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runner.contract.errors import ToolCode
from runner.contract.kinds import Permission


class Decision(StrEnum):
    """What the guard says."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"
    """A person must say yes to this very call."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that an agent wants to make; `task` is the Task manifest that it works for."""

    tool: str
    arguments: Mapping[str, Any]
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, the `path:line` of the rule that made it, and what the call needs.

    When it asks, `rule` is the line that wants a person, and `grant` the one that would
    allow the call. `output_max` bounds the answer of a model. `code` is what a tool call that
    is denied is told besides the reason.
    """

    decision: Decision
    reason: str
    rule: str
    permissions: tuple[Permission, ...] = ()
    grant: str | None = None
    output_max: int | None = None
    code: ToolCode = ToolCode.PERMISSION_DENIED

    @property
    def permission(self) -> str | None:
        """What the call needs, as the log writes it."""
        return " ".join(map(str, self.permissions)) or None

    def to_answer(self) -> dict[str, Any]:
        """What a worker is told of it."""
        return {
            "decision": self.decision.value,
            "reason": self.reason,
            "code": self.code.value,
            "output_max": self.output_max,
            "permissions": [str(permission) for permission in self.permissions],
        }


def deny(
    reason: str,
    rule: str,
    permissions: tuple[Permission, ...] = (),
    code: ToolCode = ToolCode.PERMISSION_DENIED,
) -> Verdict:
    """The verdict no."""
    return Verdict(Decision.DENY, reason, rule, permissions, code=code)
