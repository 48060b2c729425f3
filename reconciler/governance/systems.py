"""Findings on hand-offs: what an agent causes through those that come after it. Pure."""

from collections.abc import Iterator

from reconciler.governance import agents, effective, words
from reconciler.governance.finding import Finding, Severity
from reconciler.governance.world import Sides, World
from reconciler.problem import Problem
from reconciler.problem import Severity as ProblemSeverity
from runner.contract.kinds import Agent, AgentSystem, Permission
from runner.contract.kinds.base import named


def findings(sides: Sides, before: World, after: World) -> Iterator[Finding]:
    """What a system declares to be gained over its hand-offs, and no longer."""
    old, new = sides.specs(AgentSystem)
    had, has = _gains(old), _gains(new)
    for pair, pointer in has.items():
        assert new is not None
        agent, permission = pair
        causes = _causes(sides, after, new, agent, permission)
        fresh = pair not in had
        severity = Severity.WIDENS if fresh else Severity.NEUTRAL
        yield sides.finding(severity, "gain-declared", causes, pointer)
    for agent, permission in had:
        if (agent, permission) not in has:
            sentence = f"in system {sides.key.name} {agent} no longer gains {permission}"
            yield sides.narrows("gain-removed", sentence)
    if old is None or new is None:
        return
    for name in words.added(old.agents, new.agents):
        sentence = f"system {sides.key.name} hands work to {name}"
        pointer = f"/spec/agents/{new.agents.index(name)}"
        yield sides.finding(Severity.NEUTRAL, "agent-joined", sentence, pointer)
    for name in words.added(new.agents, old.agents):
        sentence = f"system {sides.key.name} leaves out {name}"
        if any(name in old.before(other) for other in old.agents):
            # Those after it no longer have to be granted what it was not.
            sentence += ": what it may not do no longer binds those after it"
            yield sides.widens("agent-left", sentence, "/spec/agents")
        else:
            yield sides.narrows("agent-left", sentence, "/spec/agents")
    yield from agents.accepted(sides, old, new)


def _gains(system: AgentSystem | None) -> dict[tuple[str, Permission], str]:
    found: dict[tuple[str, Permission], str] = {}
    for position, gain in enumerate(system.gains if system else []):
        for index, permission in enumerate(gain.permissions):
            pointer = f"/spec/gains/{position}/permissions/{index}"
            found.setdefault((gain.agent, permission), pointer)
    return found


def _causes(
    sides: Sides, world: World, system: AgentSystem, agent: str, permission: Permission
) -> str:
    causing = [
        name
        for name in system.before(agent)
        if not any(
            grant.permission.covers(permission)
            for grant in effective.grants(world, named("Agent", name, sides.key.namespace))
        )
    ]
    who = words.listed(causing) or "nobody who may not do it anyway"
    return f"in system {sides.key.name} {who} can cause {permission} via {agent}"


def unusable(world: World, sides: Sides) -> Iterator[Problem]:
    """A warning for each tool that an agent of a system is granted and can never use there."""
    _, system = sides.specs(AgentSystem)
    if system is None or sides.after is None:
        return
    for name in system.order():
        before = system.before(name)
        key = named("Agent", name, sides.key.namespace)
        agent = world.spec(key, Agent)
        if agent is None:
            continue
        for tool, pointer in effective.pickable(agent, key.namespace):
            found = effective.withheld(world, sides.key, name, tool, before)
            if found is None:
                continue
            earlier, permission = found
            declared = world.declared[key]
            yield Problem(
                declared.path,
                declared.line_of(pointer),
                1,
                f"{name} cannot use {permission} in system {sides.key.name}:"
                f" {earlier} is not granted it",
                f"declare it under gains at {sides.after.path}:{sides.after.line}",
                ProblemSeverity.WARNING,
                rule="hand-off-unusable",
            )
