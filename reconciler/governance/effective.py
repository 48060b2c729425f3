"""What an agent is granted in a world, and what is left of it over a hand-off. Pure.

This reads declarations as the guard reads them, with the permissions of a call still open:
a template in `requires` stands for whatever an argument may make of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.governance.world import World
from runner.contract import builtin
from runner.contract.kinds import (
    Agent,
    AgentRole,
    AgentSystem,
    Key,
    Namespace,
    Permission,
    Tool,
)  # fmt: skip
from runner.contract.kinds.base import named
from runner.contract.kinds.tool import template_arguments


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission for a tool, or, by a role, for any tool; `pointer` is in the agent."""

    permission: Permission
    tool: str | None
    role: str | None
    pointer: str

    @property
    def words(self) -> str:
        """`write:issue_tracker through flag-issues`."""
        return f"{self.permission} through {self.tool or f'the role {self.role}'}"

    def covers(self, other: "Grant") -> bool:
        """Whether this grant makes the other one superfluous."""
        return self.tool in (None, other.tool) and self.permission.covers(other.permission)


def own(agent: Agent, namespace: str) -> Iterator[Grant]:
    """What the manifest of an agent of a namespace itself grants."""
    for position, entry in enumerate(agent.tools):
        for index, permission in enumerate(entry.permissions):
            pointer = f"/spec/tools/{position}/permissions/{index}"
            yield Grant(permission, entry.name, None, pointer)
    for given in builtin.given(agent, namespace):
        for permission in given.spec.requires if given.granting else ():
            yield Grant(permission, given.name, None, given.pointer)


def by_roles(world: World, agent: Agent, namespace: str) -> Iterator[Grant]:
    """What the agent is granted by its roles; one that is not declared grants nothing."""
    for index, name in enumerate(agent.roles):
        role = world.spec(named("AgentRole", name, namespace), AgentRole)
        for permission in role.permissions if role else []:
            yield Grant(permission, None, name, f"/spec/roles/{index}")


def grants(world: World, key: Key) -> list[Grant]:
    """All that an agent is granted; nothing when it is not declared."""
    agent = world.spec(key, Agent)
    if agent is None:
        return []
    return [*own(agent, key.namespace), *by_roles(world, agent, key.namespace)]


def may_need(template: Permission, granted: Permission) -> bool:
    """Whether a call can need something that the grant covers."""
    if template_arguments(template.resource):
        return template.verb == granted.verb
    return granted.covers(template)


def called_tool(
    world: World, agent: Key, name: str, seen_from: str | None = None
) -> Tool | None:
    """A tool as an agent names it: built in, or declared; None when it is neither."""
    spec = world.spec(agent, Agent)
    given = None if spec is None else builtin.find(spec, agent.namespace, name, seen_from)
    if given is not None:
        return given.spec
    return world.spec(named("Tool", name, agent.namespace), Tool)


def pickable(agent: Agent, namespace: str) -> Iterator[tuple[str, str]]:
    """The tools that an agent of a namespace may pick, with the pointer where it says so."""
    for given in builtin.given(agent, namespace):
        if given.granting:  # Else it stands in one of the lists below.
            yield given.name, given.pointer
    for index, entry in enumerate(agent.tools):
        yield entry.name, f"/spec/tools/{index}"
    for index, name in enumerate(agent.allowed_tools):
        yield name, f"/spec/allowed_tools/{index}"


def withheld(
    world: World, key: Key, name: str, tool: str, before: Iterable[str]
) -> tuple[str, Permission] | None:
    """Who of the agents before withholds a tool from an agent of a system, and what.

    None when nobody does, or when it depends on the arguments of the call.
    """
    system = world.spec(key, AgentSystem)
    agent_key = named("Agent", name, key.namespace)
    called = called_tool(world, agent_key, tool)
    if system is None or called is None or _keeps_own(world, agent_key.namespace):
        return None
    gained = [p for gain in system.gains if gain.agent == name for p in gain.permissions]
    for earlier in before:
        earlier_key = named("Agent", earlier, key.namespace)
        spec = world.spec(earlier_key, Agent)
        if spec is None or tool in spec.allowed_tools:
            continue
        held = [grant.permission for grant in grants(world, earlier_key)]
        # By the names that the other's namespace has for them, as the guard compares.
        there = called_tool(world, agent_key, tool, earlier_key.namespace)
        assert there is not None
        for needed, as_held in zip(called.requires, there.requires, strict=True):
            may = any(may_need(as_held, permission) for permission in held)
            if not may and not any(may_need(needed, permission) for permission in gained):
                return earlier, needed
    return None


def _keeps_own(world: World, namespace: str) -> bool:
    rules = world.spec(Key(namespace, "Namespace", namespace), Namespace)
    return rules is not None and rules.compat == "permissive"
