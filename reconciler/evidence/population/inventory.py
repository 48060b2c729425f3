"""Which agents there are and what they may do, at every revision of the period.

    commits in force before ──┐
    commits applied, in order ┴─Git──> agents, grants ──compare──> gained, lost

A grant is what a manifest gives an agent, itself or through a role, read as the guard reads
it. What was applied by hand stands in no commit, and is not here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from reconciler.governance import effective
from reconciler.governance.world import Declared, World
from reconciler.resource import Resource
from runner.contract import errors
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.kinds import Agent, Key

REVISIONS_MAX: Final = 500
"""Revisions that are read; the others are counted."""
_APPLIED: Final = ("manifest.applied", "manifest.reverted")
_NOT_IN_FORCE: Final = ("manifest.rejected", "manifest.overridden")
_OWNERS: Final = ("owner", "team", "orloj.dev/owner")


class Declares(Protocol):
    """A mirror that says what a commit declares."""

    def held(self, commits: Sequence[str]) -> list[str]:
        """Those of these commits that it has."""

    def declared(self, commit: str) -> tuple[Resource, ...]:
        """The resources that a commit declares."""


@dataclass(frozen=True, slots=True)
class Inhabitant:
    """An agent as a commit declares it."""

    name: str
    place: str
    owner: str
    model: str
    tools: tuple[str, ...]
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Granted:
    """A permission of an agent; `asks` says that a person must approve its calls."""

    agent: str
    permission: str
    through: str
    asks: bool


@dataclass(frozen=True, slots=True)
class Revision:
    """What changed in who may do what, with a commit, against the one before it."""

    commit: str
    seq: int
    agents: int
    gained: tuple[Granted, ...]
    lost: tuple[Granted, ...]


@dataclass(slots=True)
class Inventory:
    """Takes down the commits that entries name, and asks Git at the end."""

    older: dict[str, int] = field(default_factory=dict)
    """Commits that entries name and that were not applied in the period."""
    applied: list[tuple[str, int]] = field(default_factory=list)
    agents: tuple[Inhabitant, ...] = ()
    """Those of the last revision."""
    grants: tuple[Granted, ...] = ()
    before: tuple[Granted, ...] = ()
    """Those of the first revision."""
    revisions: list[Revision] = field(default_factory=list)
    missing: int = 0
    """Commits that no mirror here has, or that were too many."""
    _new: set[str] = field(default_factory=set)

    def take(self, fields: dict[str, Any]) -> None:
        """Look at an entry."""
        commit = fields.get("commit")
        if not isinstance(commit, str) or commit == NO_COMMIT:
            return
        if fields["type"] in _APPLIED:
            self.older.pop(commit, None)
            self.applied.append((commit, fields["seq"]))
            self._new.add(commit)
        elif commit not in self._new and fields["type"] not in _NOT_IN_FORCE:
            self.older.setdefault(commit, fields["seq"])

    def end(self, mirrors: Mapping[str, Declares]) -> None:
        """Read what the commits declare."""
        standing: dict[str, tuple[Granted, ...]] = {}
        agents: dict[str, tuple[Inhabitant, ...]] = {}
        order = [*self.older.items(), *self.applied]
        for commit, seq in order[:REVISIONS_MAX]:
            where = next((one for one in mirrors if mirrors[one].held([commit])), None)
            if where is None:
                continue
            world = _world(mirrors[where].declared(commit))
            was, now = standing.get(where, ()), tuple(sorted(_grants(world)))
            agents[where] = tuple(_agents(world))
            first = where not in standing
            standing[where] = now
            self.revisions.append(
                Revision(
                    commit,
                    seq,
                    len(agents[where]),
                    () if first else tuple(sorted(set(now) - set(was))),
                    () if first else tuple(sorted(set(was) - set(now))),
                )
            )
            self.before = tuple(sorted({*self.before, *now})) if first else self.before
        self.missing = len(order) - len(self.revisions)
        self.agents = tuple(one for name in sorted(agents) for one in agents[name])
        self.grants = tuple(one for name in sorted(standing) for one in standing[name])


def _world(resources: Sequence[Resource]) -> World:
    return World(
        {
            one.key: Declared(one.key, one.body, one.path, one.line, one.lines)
            for one in resources
        }
    )


def _all(world: World) -> Iterator[tuple[Declared, Agent]]:
    for key in sorted(world.declared):
        found = world.spec(key, Agent) if key.kind == "Agent" else None
        if found is not None:
            yield world.declared[key], found


def _grants(world: World) -> Iterator[Granted]:
    for declared, agent in _all(world):
        asked = agent.governance.require_approval
        for grant in effective.grants(world, declared.key):
            asks = any(
                rule.covers(grant.permission) or grant.permission.covers(rule) for rule in asked
            )
            through = grant.tool or f"role {grant.role}"
            yield Granted(_name(declared.key), str(grant.permission), through, asks)


def _agents(world: World) -> Iterator[Inhabitant]:
    for declared, agent in _all(world):
        try:
            endpoint, model = agent.endpoint(declared.key.namespace)
        except errors.OrlojError:
            continue
        rules = agent.governance.model_dump(by_alias=True, exclude_none=True)
        yield Inhabitant(
            name=_name(declared.key),
            place=f"{declared.path}:{declared.line}",
            owner=_owner(declared.body),
            model=model or f"default of {endpoint.name}",
            tools=tuple(
                sorted({name for name, _ in effective.pickable(agent, declared.key.namespace)})
            ),
            limits=tuple(
                f"{name} {value}"
                for name, value in rules.items()
                if not isinstance(value, bool | list)
            ),
        )


def _owner(body: str) -> str:
    """Who answers for it, as its labels or annotations say."""
    metadata = json.loads(body)
    said = {**metadata.get("annotations", {}), **metadata.get("labels", {})}
    return next((str(said[name]) for name in _OWNERS if name in said), "")


def _name(key: Key) -> str:
    return f"{key.namespace}/{key.name}"
