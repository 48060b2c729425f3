"""AgentSystem: agents that work one after another on the same task."""

from typing import Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds.base import (
    AcceptedRisk,
    Permission,
    Reference,
    Spec,
    Strict,
    named,
)


class Edge(Strict):
    """From a node to the next."""

    to: str
    labels: dict[str, str] = {}
    policy: dict[str, str] = {}


class Join(Strict):
    """How a node with several edges into it waits."""

    mode: Literal["wait_for_all", "quorum"] = "wait_for_all"
    quorum_count: int = Field(default=0, ge=0)
    quorum_percent: float = Field(default=0, ge=0, le=100)
    on_failure: Literal["deadletter", "skip", "continue_partial"] = "deadletter"


class Node(Strict):
    """What comes after an agent."""

    next: str | None = None
    edges: list[Edge] = []
    join: Join = Join()

    def successors(self) -> list[str]:
        """The agents that this one hands its output to."""
        return [*([self.next] if self.next else []), *(edge.to for edge in self.edges)]


class Gain(Strict):
    """What an agent may do in this system although those before it may not."""

    agent: str = Field(min_length=1)
    permissions: list[Permission] = Field(min_length=1)


class AgentSystem(Spec):
    """Agents and the order they work in; without a graph, the order they are listed in.

    Over a hand-off permissions only get fewer: an agent may do what it is granted and all
    those before it are granted too. `gains` declares the exceptions.
    """

    agents: list[str] = Field(min_length=1)
    graph: dict[str, Node] = {}
    gains: list[Gain] = []
    accept_risk: list[AcceptedRisk] = []

    @model_validator(mode="after")
    def _graph_names_its_agents(self) -> Self:
        known = set(self.agents)
        if len(known) != len(self.agents):
            raise ValueError("agents lists a name twice")
        for gain in self.gains:
            if gain.agent not in known:
                raise ValueError(f"gains names {gain.agent}, which is not in agents")
        for name, node in self.graph.items():
            for other in [name, *node.successors()]:
                if other not in known:
                    raise ValueError(f"graph names {other}, which is not in agents")
        return self

    def references(self, namespace: str) -> list[Reference]:
        """Its agents."""
        return [
            Reference(named("Agent", agent, namespace), ("spec", "agents", index))
            for index, agent in enumerate(self.agents)
        ]

    def line(self) -> list[str]:
        """The agents, first to last; ValueError says why the graph is not one line of them."""
        if not self.graph:
            return list(self.agents)
        after = {name: self._after(name) for name in self.agents}
        targets = [target for names in after.values() for target in names]
        starts = [name for name in self.agents if name not in targets]
        if len(starts) != 1 or any(len(names) > 1 for names in after.values()):
            raise ValueError("the graph is not one line of agents")
        line = starts
        while following := after[line[-1]]:
            if following[0] in line:
                raise ValueError("the graph has a loop")
            line.append(following[0])
        if len(line) != len(self.agents):
            raise ValueError("the graph leaves agents out")
        return line

    def _after(self, name: str) -> list[str]:
        return self.graph[name].successors() if name in self.graph else []
