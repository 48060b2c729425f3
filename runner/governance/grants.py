"""What an agent may do, and which line says so. Pure.

Grants come from the agent's own manifest, tool by tool, from a field that gives it built-in
tools, and from the roles it has, which are not bound to a tool. Over a hand-off only what
every agent of the chain is granted is left, and what the system declares as a gain.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.contract import builtin
from runner.contract.errors import Refused
from runner.contract.kinds import AgentRole, AgentSystem, Permission
from runner.contract.kinds.base import named
from runner.manifest_set import ManifestSet, PlacedAgent


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission and the `path:line` that grants it."""

    permission: Permission
    rule: str


def of(manifests: ManifestSet, agent: PlacedAgent, tool: str | None = None) -> Iterator[Grant]:
    """What an agent is granted for a tool, or for any tool; Refused when a role is missing."""
    yield from _own(agent, tool)
    for index, name in enumerate(agent.spec.roles):
        placed = manifests.resources.get(named("AgentRole", name, agent.key.namespace))
        if placed is None:
            raise Refused(
                f"the role {name} is not declared ({agent.at(f'/spec/roles/{index}')})"
            )
        for position, permission in enumerate(manifests.spec(placed, AgentRole).permissions):
            yield Grant(permission, placed.at(f"/spec/permissions/{position}"))


def _own(agent: PlacedAgent, tool: str | None) -> Iterator[Grant]:
    """What the agent's manifest itself grants for a tool, or for any tool."""
    for position, entry in enumerate(agent.spec.tools):
        if tool is None or entry.name == tool:
            for index, permission in enumerate(entry.permissions):
                at = agent.at(f"/spec/tools/{position}/permissions/{index}")
                yield Grant(permission, at)
    for given in builtin.given(agent.spec, agent.key.namespace):
        if given.granting and tool in (None, given.name):
            for permission in given.spec.requires:
                yield Grant(permission, agent.at(given.pointer))


def gained(manifests: ManifestSet, agent: str) -> Iterator[Grant]:
    """What the system lets an agent do although those before it may not."""
    if manifests.subject.kind != "AgentSystem":
        return
    placed = manifests.resources[manifests.subject]
    for position, gain in enumerate(manifests.spec(placed, AgentSystem).gains):
        if gain.agent == agent:
            for index, permission in enumerate(gain.permissions):
                at = placed.at(f"/spec/gains/{position}/permissions/{index}")
                yield Grant(permission, at)


def covering(found: Iterable[Grant], needed: Permission) -> Grant | None:
    """The first grant that is enough; None when none is."""
    return next((grant for grant in found if grant.permission.covers(needed)), None)


def folded(permission: Permission) -> Permission:
    """As the public dialect compares: letters small, `-` and `/` as `_`."""
    table = str.maketrans("-/", "__")
    return Permission.of(
        permission.verb.lower().translate(table),
        permission.resource.lower().translate(table),
    )
