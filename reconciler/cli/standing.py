"""Where the manifests of a question stand: in the record, or in a commit of the repository."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler import recorded
from reconciler.cli.context import Context
from reconciler.reconcile import Reconciler
from reconciler.resource import Resource
from runner import pinning
from runner.contract import errors
from runner.contract.kinds import Key
from runner.contract.kinds.base import DEFAULT_NAMESPACE, named
from runner.governance import reach
from runner.manifest_set import ManifestSet, Placed, PlacedAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Manifests at one time; `commit` is where they were read from, None: as recorded."""

    commit: str | None
    agents: tuple[Key, ...]
    find: reach.Find
    unnamed: reach.Unnamed

    def manifests(self, agent: str, system: str | None) -> tuple[ManifestSet, PlacedAgent]:
        """The set that an agent works under, alone or in a system; NotFound."""
        if system is None:
            key = named("Agent", agent, DEFAULT_NAMESPACE)
            found = reach.gather(key, self.find, self.unnamed)
            return found, found.agent(key.name)
        key = named("AgentSystem", system, DEFAULT_NAMESPACE)
        found = reach.gather(key, self.find, self.unnamed)
        name = agent.removeprefix(f"{key.namespace}/")
        if name not in found.order:
            raise errors.NotFound(f"{agent} is no agent of {key}; it has {_list(found.order)}")
        return found, found.agent(name)

    def members(self, system: str) -> list[str]:
        """The agents of a system, first to last; NotFound, Refused."""
        key = named("AgentSystem", system, DEFAULT_NAMESPACE)
        return reach.gather(key, self.find, self.unnamed).order


def recorded_now(connection: Connection) -> Standing:
    """The manifests as recorded, over a connection that stays open."""
    return Standing(
        commit=None,
        agents=tuple(key for key in recorded.keys(connection, "Agent")),
        find=lambda key: pinning.find(connection, key),
        unnamed=lambda namespaces: pinning.unnamed(connection, namespaces),
    )


def at_commit(context: Context, commit: str) -> Standing:
    """The manifests that a commit of the repository declares; SourceError."""
    found, resources = Reconciler(context.settings, context.database).declared(commit)
    placed = {key: placed_of(resource) for key, resource in resources.items()}
    return of_commit(found, placed)


def of_commit(commit: str, declared: Mapping[Key, Placed]) -> Standing:
    """Manifests that are all in memory."""
    find, unnamed = reach.among(declared)
    agents = tuple(sorted(key for key in declared if key.kind == "Agent"))
    return Standing(commit=commit, agents=agents, find=find, unnamed=unnamed)


def placed_of(resource: Resource) -> Placed:
    """A resource of a commit as a manifest set holds it."""
    return Placed(
        resource.key, resource.body, resource.path, resource.line, dict(resource.lines)
    )


def _list(names: list[str]) -> str:
    return ", ".join(names)
