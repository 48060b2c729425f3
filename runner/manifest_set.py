"""The manifests that one task works under: resolved once, kept by content. Pure.

A task is pinned to the set it first started on, so a push in the middle of it changes
nothing for it. The set's digest stands in every audit entry of the task.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from runner.contract import builtin, kinds
from runner.contract.audit_entry import canonical
from runner.contract.errors import NotFound, Refused
from runner.contract.kinds import (
    Agent,
    AgentSystem,
    DataSource,
    EvalDataset,
    EvalRun,
    Key,
    McpServer,
    ModelEndpoint,
    Namespace,
    Secret,
    Spec,
    Tool,
    limiting,
)
from runner.contract.kinds.base import named
from runner.evaluation import Evaluation

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class Placed:
    """A resource in the set, with the place where it was declared."""

    key: Key
    body: str
    path: str
    line: int
    lines: dict[str, int] = field(hash=False)
    by: str | None = None
    """Its owner when it was applied by hand (`person:NAME`); None: it came from Git."""

    def at(self, pointer: str) -> str:
        """`path:line` of a JSON pointer, or of the nearest place around it."""
        return f"{self.path}:{self.line_at(pointer)}"

    def line_at(self, pointer: str) -> int:
        """The line of a JSON pointer, or of the nearest place around it."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, self.line)

    def to_json(self) -> list[Any]:
        """As the set's text keeps it."""
        owner = [] if self.by is None else [self.by]
        return [list(self.key), self.body, self.path, self.line, self.lines, *owner]


@dataclass(frozen=True)
class PlacedAgent(Placed):
    """An Agent."""

    @cached_property
    def spec(self) -> Agent:
        """What it declares."""
        return _spec(self, Agent)


@dataclass(frozen=True)
class PlacedTool(Placed):
    """A Tool. A built-in one stands where the agent's manifest gives it."""

    builtin: Tool | None = field(default=None, hash=False, compare=False)

    @cached_property
    def spec(self) -> Tool:
        """What it declares."""
        return self.builtin or _spec(self, Tool)


class ManifestSet:
    """The resources of a set, by key, and what a task asks of them."""

    def __init__(self, subject: Key, resources: dict[Key, Placed]) -> None:
        self.subject = subject
        self.resources = resources
        self._agents: dict[str, PlacedAgent] = {}
        self._tools: dict[Key, PlacedTool] = {}
        self._of_kind: dict[str, list[Placed]] = {}
        self._chains: dict[str, tuple[PlacedAgent, ...]] = {}

    @cached_property
    def system(self) -> AgentSystem | None:
        """The system that works on the task; None where it is one agent."""
        if self.subject.kind == "Agent":
            return None
        return _spec(self.resources[self.subject], AgentSystem)

    @cached_property
    def order(self) -> list[str]:
        """The agents, first to last as work comes to them."""
        return [self.subject.name] if self.system is None else self.system.order()

    @cached_property
    def limited(self) -> bool:
        """Whether anything in it limits tokens, costs, calls or tasks; unreadable: it may."""
        try:
            return any(
                limiting.limits(kinds.spec_of(key.kind, placed.body))
                for key, placed in self.resources.items()
                if key.kind in {"Agent", "AgentPolicy", "Tool"}
            )
        except Refused:
            return True

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """What holds besides for a task of an evaluation; None for every other task.

        Nothing that a task works under names an EvalRun: whoever pinned it put it there.
        """
        for placed in self.of_kind("EvalRun"):
            datasets = self.of_kind("EvalDataset")
            samples = _spec(datasets[0], EvalDataset).samples if datasets else [None]
            return Evaluation(_spec(placed, EvalRun), samples[0], placed.at("/spec"))
        return None

    def agent(self, name: str) -> PlacedAgent:
        """An agent of the set; NotFound."""
        if name not in self._agents:
            key = named("Agent", name, self.subject.namespace)
            placed = self._placed(key)
            self._agents[name] = PlacedAgent(*_parts(placed))
        return self._agents[name]

    def chain(self, agent: PlacedAgent) -> tuple[PlacedAgent, ...]:
        """The agents whose work can lead to this one's, itself last; NotFound."""
        name = self.called(agent)
        if name not in self._chains:
            if name not in self.order:
                raise NotFound(f"{name} is no agent of {self.subject}")
            before = [] if self.system is None else self.system.before(name)
            self._chains[name] = tuple(self.agent(other) for other in (*before, name))
        return self._chains[name]

    def chain_names(self, agent: PlacedAgent) -> tuple[str, ...] | None:
        """The chain by name; None for an agent that works alone."""
        names = tuple(self.called(member) for member in self.chain(agent))
        return names if len(names) > 1 else None

    def of_kind(self, kind: str) -> list[Placed]:
        """The resources of a kind, sorted by key."""
        if kind not in self._of_kind:
            found = sorted(key for key in self.resources if key.kind == kind)
            self._of_kind[kind] = [self.resources[key] for key in found]
        return self._of_kind[kind]

    def spec(self, placed: Placed, kind: type[S]) -> S:
        """What a resource declares; Refused when this version cannot read it."""
        return _spec(placed, kind)

    def rules(self, namespace: str) -> Namespace:
        """The rules of a namespace, the defaults where nobody declared any."""
        placed = self.resources.get(Key(namespace, "Namespace", namespace))
        return Namespace() if placed is None else _spec(placed, Namespace)

    def called(self, agent: PlacedAgent) -> str:
        """The name that `agent` answers to in this set, and that its steps are kept under."""
        same = agent.key.namespace == self.subject.namespace
        return agent.key.name if same else f"{agent.key.namespace}/{agent.key.name}"

    def tool(self, agent: PlacedAgent, name: str) -> PlacedTool | None:
        """A tool as an agent names it; None when nobody declared or gave it."""
        own = builtin.find(agent.spec, agent.key.namespace, name)
        if own is not None:
            key, line = Key(agent.key.namespace, "Tool", name), agent.line_at(own.pointer)
            return PlacedTool(key, "", agent.path, line, {}, agent.by, own.spec)
        key = named("Tool", name, agent.key.namespace)
        if key not in self.resources:
            return None
        if key not in self._tools:
            self._tools[key] = PlacedTool(*_parts(self.resources[key]))
        return self._tools[key]

    def mcp_server(self, tool: PlacedTool) -> tuple[Key, McpServer] | None:
        """The MCP server of a tool; None when it names none, or one that is not declared."""
        ref = tool.spec.mcp_server_ref
        key = None if ref is None else named("McpServer", ref, tool.key.namespace)
        if key is None or key not in self.resources:
            return None
        return key, _spec(self.resources[key], McpServer)

    def endpoint(self, agent: PlacedAgent) -> tuple[Key, ModelEndpoint, str]:
        """The endpoint an agent asks, and the model to ask for; NotFound.

        Which one that is, `Agent.candidates` says.
        """
        candidates = agent.spec.candidates(agent.key.namespace)
        declared = [one for one in candidates if one[0] in self.resources]
        if not declared:
            key, model = candidates[-1]
            raise NotFound(
                f"agent {agent.key.name} asks for the model {model or key.name}, "
                f"and there is no ModelEndpoint {key.namespace}/{key.name}; declare one "
                "(orloj schema ModelEndpoint shows its fields)"
            )
        key, model = declared[0]
        spec = _spec(self.resources[key], ModelEndpoint)
        return key, spec, model or spec.default_model

    def data_sources(self, namespace: str) -> dict[str, DataSource]:
        """The data sources of a namespace, by name; one that cannot be read is left out."""
        found = {}
        for key, placed in self.resources.items():
            if key.kind == "DataSource" and key.namespace == namespace:
                with suppress(Refused):
                    found[key.name] = _spec(placed, DataSource)
        return found

    def secret_entry(self, key: Key, entry: str) -> str | None:
        """What stands for a secret's entry: `env:NAME`, `file:NAME` or a digest."""
        if key not in self.resources:
            return None
        return stands_for(_spec(self.resources[key], Secret), entry)

    def serves(self, secret: Key, namespace: str) -> bool:
        """Whether a namespace may use a Secret: its own, or one that says so, readably."""
        if secret.namespace == namespace:
            return True
        if secret not in self.resources:
            return False
        try:
            return _spec(self.resources[secret], Secret).serves(secret.namespace, namespace)
        except Refused:
            return False

    def _placed(self, key: Key) -> Placed:
        if key not in self.resources:
            raise NotFound(f"{key} is not declared")
        return self.resources[key]

    def to_text(self) -> str:
        """The set as it is stored; equal sets have equal texts."""
        return canonical(
            {
                "subject": list(self.subject),
                "resources": [placed.to_json() for _, placed in sorted(self.resources.items())],
            }
        )


def stands_for(spec: Secret, entry: str) -> str | None:
    """What stands for an entry of a Secret: `env:NAME`, `file:NAME`, `sealed:…` or a digest."""
    if entry in spec.sealed:
        return spec.sealed[entry]
    if entry in spec.from_env:
        return f"env:{spec.from_env[entry]}"
    if entry in spec.from_file:
        return f"file:{spec.from_file[entry]}"
    return spec.string_data.get(entry) or spec.data.get(entry)


def from_text(text: str) -> ManifestSet:
    """A set out of its stored text."""
    value = json.loads(text)
    placed = [
        Placed(Key(*key), body, path, line, lines, *owner)
        for key, body, path, line, lines, *owner in value["resources"]
    ]
    return ManifestSet(Key(*value["subject"]), {item.key: item for item in placed})


@lru_cache(maxsize=4096)
def _read(kind: str, body: str) -> Spec:
    return kinds.spec_of(kind, body)


def _spec(placed: Placed, kind: type[S]) -> S:
    spec = _read(placed.key.kind, placed.body)
    assert isinstance(spec, kind)
    return spec


def _parts(placed: Placed) -> tuple[Key, str, str, int, dict[str, int], str | None]:
    return placed.key, placed.body, placed.path, placed.line, placed.lines, placed.by
