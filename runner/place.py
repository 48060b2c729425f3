"""Where in its task a call of an agent stands, and that it may have to wait there. Pure."""

from dataclasses import dataclass


class Waits(Exception):
    """The call must wait for people or for room, and other agents of the task still work."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its task a call stands; `alone`: no other agent of the task works now."""

    step: int
    visit: int = 1
    alone: bool = True
