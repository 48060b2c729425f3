"""AgentSystem: agents that work on the same task, one after another or beside each other."""

from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds import graph
from runner.contract.kinds.base import (
    AcceptedRisk,
    Duration,
    Permission,
    Reference,
    Spec,
    Strict,
    Text,
    named,
)
from runner.contract.kinds.edge import Edge


class Join(Strict):
    """How an agent with several edges into it waits for them.

    A quorum is the larger of the two numbers. `on_failure` says what a branch that failed
    means: `deadletter` ends the task, `skip` leaves the branch out of the count, and
    `continue_partial` goes on with what came, and tells the agent what is missing.
    """

    mode: Literal["wait_for_all", "quorum"] = "wait_for_all"
    quorum_count: int = Field(default=0, ge=0)
    quorum_percent: float = Field(default=0, ge=0, le=100)
    on_failure: Literal["deadletter", "skip", "continue_partial"] = "deadletter"

    @model_validator(mode="after")
    def _quorum_has_a_number(self) -> Self:
        numbers = self.quorum_count or self.quorum_percent
        if self.mode == "quorum" and not numbers:
            raise ValueError("a quorum needs quorum_count or quorum_percent")
        if self.mode == "wait_for_all" and numbers:
            raise ValueError("quorum_count and quorum_percent need `mode: quorum`")
        return self


class ReviewCheckpoint(Strict):
    """A person reads what an agent said before it goes on, and approves, denies or asks for
    changes, which the agent then makes, so many times."""

    checkpoint_id: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][\w.-]*$")
    display_name: Text = ""
    reason: Text = ""
    ttl: Duration = "10m"
    allow_request_changes: bool = True
    max_review_cycles: int = Field(default=3, ge=1, le=100)


class Node(Strict):
    """What comes after an agent: the next, or several, or agents that report back to it."""

    next: str | None = Field(default=None, min_length=1)
    edges: list[Edge] = []
    join: Join = Join()
    delegates: list[Edge] = []
    delegate_join: Join = Join()
    review: ReviewCheckpoint | None = None

    @model_validator(mode="after")
    def _one_fallback(self) -> Self:
        for name, edges in (("edges", self.edges), ("delegates", self.delegates)):
            if sum(edge.fallback for edge in edges) > 1:
                raise ValueError(f"{name} has more than one default")
            targets = [edge.to for edge in edges]
            if len(set(targets)) != len(targets):
                raise ValueError(f"{name} names an agent twice")
        if self.next in {edge.to for edge in self.edges}:
            raise ValueError(f"next and edges both name {self.next}")
        return self

    def onward(self) -> list[Edge]:
        """The edges out of it; `next` is one without a condition."""
        return [*([Edge(to=self.next)] if self.next else []), *self.edges]

    def successors(self) -> list[str]:
        """The agents that this one hands its output to, at once or as delegates."""
        return [edge.to for edge in (*self.onward(), *self.delegates)]


class Gain(Strict):
    """What an agent may do in this system although those before it may not."""

    agent: str = Field(min_length=1)
    permissions: list[Permission] = Field(min_length=1)


class AgentSystem(Spec):
    """Agents and how work goes between them; without a graph, in the order they are listed.

    Over a hand-off permissions only get fewer: an agent may do what it is granted and all
    those before it are granted too. `gains` declares the exceptions.
    """

    agents: list[str] = Field(min_length=1)
    graph: dict[str, Node] = {}
    completion_review: ReviewCheckpoint | None = None
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
        lost = [
            name for name in self.agents if name not in graph.reached(self.after, self.starts)
        ]
        if lost:
            raise ValueError(
                f"no work ever comes to {lost[0]}: no edge leads to it from a start"
            )
        return self

    @model_validator(mode="after")
    def _checkpoints_are_told_apart(self) -> Self:
        ids = [review.checkpoint_id for review in self.reviews.values()]
        if len(set(ids)) != len(ids):
            raise ValueError("two reviews have the same checkpoint_id")
        return self

    @property
    def reviews(self) -> dict[str, ReviewCheckpoint]:
        """Every review, by the pointer to it."""
        found = {
            f"/spec/graph/{name}/review": node.review
            for name, node in self.graph.items()
            if node.review is not None
        }
        if self.completion_review is not None:
            found["/spec/completion_review"] = self.completion_review
        return found

    def references(self, namespace: str) -> list[Reference]:
        """Its agents."""
        return [
            Reference(named("Agent", agent, namespace), ("spec", "agents", index))
            for index, agent in enumerate(self.agents)
        ]

    @cached_property
    def onward(self) -> dict[str, list[Edge]]:
        """The edges out of each agent; without a graph one to the next in the list."""
        if not self.graph:
            nexts = [*([Edge(to=name)] for name in self.agents[1:]), []]
            return dict(zip(self.agents, nexts, strict=True))
        return {name: self.node(name).onward() for name in self.agents}

    @cached_property
    def after(self) -> dict[str, list[str]]:
        """Where the output of each agent may go, a delegate's way back included."""
        delegates = {
            name: [edge.to for edge in self.node(name).delegates] for name in self.agents
        }
        there = {
            name: [*(edge.to for edge in self.onward[name]), *delegates[name]]
            for name in self.agents
        }
        found = {name: dict.fromkeys(others) for name, others in there.items()}
        for name, others in delegates.items():
            for other in graph.reached(there, others, without=name):
                found[other][name] = None
        return {name: list(others) for name, others in found.items()}

    @property
    def starts(self) -> list[str]:
        """Where work begins: the agents that no edge leads to, else the first."""
        led_to = {
            edge.to
            for name in self.agents
            for edge in (*self.onward[name], *self.node(name).delegates)
        }
        return [name for name in self.agents if name not in led_to] or self.agents[:1]

    @property
    def loops(self) -> bool:
        """Whether work can come round: only `max_turns` of its task bounds it then."""
        return graph.loops({name: self.node(name).successors() for name in self.agents})

    def node(self, name: str) -> Node:
        """What the graph says of an agent; nothing, where it says nothing."""
        return self.graph.get(name) or Node()

    def order(self) -> list[str]:
        """All agents, first to last as work comes to them."""
        return graph.order(self.after, self.starts)

    def before(self, name: str) -> list[str]:
        """Those whose work can lead to an agent's, first to last."""
        found = graph.before(self.after, name)
        return [other for other in self.order() if other in found]
