"""A system's graph as visits go through it: where they may lead, and how far. Pure."""

from collections.abc import Iterable
from functools import cached_property
from typing import Final

from runner.contract.kinds import AgentSystem
from runner.contract.kinds import graph as shape
from runner.contract.kinds.agent_system import Join
from runner.contract.kinds.edge import Edge
from runner.workflow import condition
from runner.workflow.visit import Phase, Visit

VISITS_MAX: Final = 1000
"""Visits that one task may make, whatever its graph."""


class Graph:
    """An AgentSystem, and how many turns one way through it may have (0: no bound)."""

    def __init__(self, system: AgentSystem, max_turns: int = 0) -> None:
        self.system = system
        self.max_turns = max_turns

    @property
    def agents(self) -> list[str]:
        """All of its agents, as declared."""
        return self.system.agents

    @property
    def starts(self) -> list[str]:
        """Where work begins."""
        return self.system.starts

    @cached_property
    def upstream(self) -> dict[str, list[str]]:
        """The agents that have an edge to each; with two or more of them it is a join."""
        found: dict[str, list[str]] = {name: [] for name in self.agents}
        for name in self.agents:
            for edge in self.system.onward[name]:
                found[edge.to].append(name)
        return found

    def joins(self, agent: str) -> bool:
        """Whether an agent waits for several others."""
        return len(self.upstream[agent]) > 1

    def join(self, agent: str) -> Join:
        """How it waits for them."""
        return self.system.node(agent).join

    def delegate_join(self, agent: str) -> Join:
        """How it waits for those that it delegated to."""
        return self.system.node(agent).delegate_join

    def reached(self, starts: Iterable[str], without: str | None = None) -> set[str]:
        """Where work at these agents may come to, themselves included."""
        return shape.reached(self.system.after, starts, without)

    def too_deep(self, depth: int) -> bool:
        """Whether a visit at this depth is one too many."""
        return 0 < self.max_turns < depth

    def delegated(self, visit: Visit) -> list[Edge]:
        """Whom a visit that is done delegates to, before its output goes on."""
        delegates = self.system.node(visit.agent).delegates
        if visit.phase is Phase.REVIEW or self.too_deep(visit.depth + 2) or not delegates:
            return []
        return condition.taken(delegates, visit.output or "")

    def onward(self, visit: Visit, visits: Iterable[Visit]) -> list[Edge]:
        """Where the output of a visit that is done goes, when it does not delegate first."""
        if self.too_deep(visit.depth + 1):
            return []
        edges = condition.taken(self.system.onward[visit.agent], visit.output or "")
        return [edge for edge in edges if not self._spent(visit, edge, visits)]

    def _spent(self, visit: Visit, edge: Edge, visits: Iterable[Visit]) -> bool:
        """Whether an edge was gone as often as its policy lets it, before this visit."""
        limit = edge.policy.max_traversals
        if limit is None:
            return False
        known = {other.number: other for other in visits}
        gone = {
            source
            for other in known.values()
            if other.agent == edge.to
            for source in other.sources
            if known[source].agent == visit.agent
        }
        return visit.number not in gone and len(gone) >= limit
