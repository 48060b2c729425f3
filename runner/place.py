"""Where in its task a call of an agent stands, and that it may have to wait there. Pure."""

from dataclasses import dataclass
from typing import Any


class Waits(Exception):
    """The call must wait for people or for room, and other agents of the task still work."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its task a call stands; `alone`: no other agent of the task works now."""

    step: int
    visit: int = 1
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Review:
    """An output that a person reads before it goes on. `review` points to it in the system.

    `cycle` counts from 1 how often it was asked; `changes_allowed` says whether there is
    one agent that could make it anew.
    """

    review: str
    output: str
    cycle: int
    changes_allowed: bool = True

    def to_json(self) -> dict[str, Any]:
        """As the dispatcher is asked."""
        return {
            "review": self.review,
            "output": self.output,
            "cycle": self.cycle,
            "changes_allowed": self.changes_allowed,
        }
