"""The manifests that one task works under: resolved once, kept by content. Pure.

A task is pinned to the set it first started on, so a push in the middle of it changes
nothing for it. The set's digest stands in every audit entry of the task.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from runner import workflow
from runner.contract import kinds
from runner.contract.audit_entry import canonical
from runner.contract.errors import NotFound, Refused
from runner.contract.kinds import (
    Agent,
    AgentSystem,
    DataSource,
    Key,
    ModelEndpoint,
    Secret,
    Spec,
    Tool,
)
from runner.contract.kinds.base import named


@dataclass(frozen=True)
class Placed:
    """A resource in the set, with the place where it was declared."""

    key: Key
    body: str
    path: str
    line: int
    lines: dict[str, int] = field(hash=False)

    def at(self, pointer: str) -> str:
        """`path:line` of a JSON pointer, or of the nearest place around it."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return f"{self.path}:{self.lines.get(pointer, self.line)}"

    def to_json(self) -> list[Any]:
        """As the set's text keeps it."""
        return [list(self.key), self.body, self.path, self.line, self.lines]


@dataclass(frozen=True)
class PlacedAgent(Placed):
    """An Agent."""

    @cached_property
    def spec(self) -> Agent:
        """What it declares."""
        return _spec(self, Agent)


@dataclass(frozen=True)
class PlacedTool(Placed):
    """A Tool."""

    @cached_property
    def spec(self) -> Tool:
        """What it declares."""
        return _spec(self, Tool)


class ManifestSet:
    """The resources of a set, by key, and what a task asks of them."""

    def __init__(self, subject: Key, resources: dict[Key, Placed]) -> None:
        self.subject = subject
        self.resources = resources
        self._agents: dict[str, PlacedAgent] = {}
        self._tools: dict[Key, PlacedTool] = {}

    @cached_property
    def order(self) -> list[str]:
        """The agents, first to last; Refused when the system is not linear."""
        if self.subject.kind == "Agent":
            return [self.subject.name]
        return workflow.order(_spec(self.resources[self.subject], AgentSystem))

    def agent(self, name: str) -> PlacedAgent:
        """An agent of the set; NotFound."""
        if name not in self._agents:
            key = named("Agent", name, self.subject.namespace)
            placed = self._placed(key)
            self._agents[name] = PlacedAgent(*_parts(placed))
        return self._agents[name]

    def called(self, agent: PlacedAgent) -> str:
        """The name that `agent` answers to in this set, and that its steps are kept under."""
        same = agent.key.namespace == self.subject.namespace
        return agent.key.name if same else f"{agent.key.namespace}/{agent.key.name}"

    def tool(self, agent: PlacedAgent, name: str) -> PlacedTool | None:
        """A tool as an agent names it; None when nobody declared it."""
        key = named("Tool", name, agent.key.namespace)
        if key not in self.resources:
            return None
        if key not in self._tools:
            self._tools[key] = PlacedTool(*_parts(self.resources[key]))
        return self._tools[key]

    def endpoint(self, agent: PlacedAgent) -> tuple[Key, ModelEndpoint, str]:
        """The endpoint an agent asks, and the model to ask for; NotFound.

        `model: NAME` means the ModelEndpoint of that name, else the one named `default`,
        asked for NAME.
        """
        key, model = agent.spec.endpoint(agent.key.namespace)
        if model is not None:
            same_name = Key(agent.key.namespace, "ModelEndpoint", model)
            if same_name in self.resources:
                key, model = same_name, None
        if key not in self.resources:
            raise NotFound(
                f"agent {agent.key.name} asks for the model {model or key.name}, "
                f"and there is no ModelEndpoint {key.namespace}/{key.name}; declare one "
                "(orloj schema ModelEndpoint shows its fields)"
            )
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
        spec = _spec(self.resources[key], Secret)
        if entry in spec.from_env:
            return f"env:{spec.from_env[entry]}"
        if entry in spec.from_file:
            return f"file:{spec.from_file[entry]}"
        return spec.string_data.get(entry) or spec.data.get(entry)

    def secrets(self) -> list[tuple[Key, str]]:
        """Every secret entry that the set's tools, endpoints and data sources name.

        What cannot be read can be neither called nor asked: it needs no secret.
        """
        found = set()
        for key, placed in self.resources.items():
            try:
                spec = kinds.spec_of(key.kind, placed.body)
            except Refused:
                continue
            auth = spec.auth if isinstance(spec, Tool | ModelEndpoint | DataSource) else None
            if auth is not None:
                found.add(auth.secret(key.namespace))
        return sorted(found)

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


def from_text(text: str) -> ManifestSet:
    """A set out of its stored text."""
    value = json.loads(text)
    placed = [
        Placed(Key(*key), body, path, line, lines)
        for key, body, path, line, lines in value["resources"]
    ]
    return ManifestSet(Key(*value["subject"]), {item.key: item for item in placed})


S = TypeVar("S", bound=Spec)


def _spec(placed: Placed, kind: type[S]) -> S:
    spec = kinds.spec_of(placed.key.kind, placed.body)
    assert isinstance(spec, kind)
    return spec


def _parts(placed: Placed) -> tuple[Key, str, str, int, dict[str, int]]:
    return placed.key, placed.body, placed.path, placed.line, placed.lines
