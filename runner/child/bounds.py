"""How many child tasks there may be. Pure.

Two bounds are the policies' to lower, and to raise: the strictest policy that applies counts,
and where none speaks, the defaults do. The third holds everywhere: depth and number multiply.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runner.contract.kinds import AgentPolicy
from runner.contract.kinds.agent_policy import CHILD_DEPTH, CHILD_TASKS

TOTAL: Final = 200
"""Below one task that nobody's step queued, over all levels."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How deep tasks may queue tasks, and how many one task may."""

    depth: int = CHILD_DEPTH
    children: int = CHILD_TASKS


@dataclass(frozen=True, slots=True)
class Family:
    """Where a task stands: how deep below its root, and how many there are already."""

    root: str
    depth: int
    children: int
    total: int


def of(policies: Iterable[AgentPolicy]) -> Bounds:
    """What these policies leave."""
    found = list(policies)
    depths = [one.max_child_depth for one in found if one.max_child_depth is not None]
    counts = [one.max_child_tasks for one in found if one.max_child_tasks is not None]
    return Bounds(min(depths, default=CHILD_DEPTH), min(counts, default=CHILD_TASKS))


def exceeded(family: Family, bounds: Bounds) -> str | None:
    """Why a task may not queue one more; None: it may."""
    if family.depth >= bounds.depth:
        return f"child tasks go {bounds.depth} deep at most (max_child_depth)"
    if family.children >= bounds.children:
        return f"a task queues {bounds.children} child tasks at most (max_child_tasks)"
    if family.total >= TOTAL:
        return f"there are {TOTAL} tasks below {family.root} already, which is the most"
    return None
