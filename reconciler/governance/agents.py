"""Findings on an agent: grants, roles, approvals and limits. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from reconciler.governance import effective, words
from reconciler.governance.effective import Grant
from reconciler.governance.finding import Finding
from reconciler.governance.words import Limit
from reconciler.governance.world import Sides, World
from runner.contract.kinds import Agent, Permission


def _governed(field: str, attribute: str) -> Limit:
    return Limit(
        field, f"/spec/governance/{field}", lambda spec: getattr(spec.governance, attribute)
    )


def _bound(field: str) -> Limit:
    return Limit(f"limits.{field}", f"/spec/limits/{field}", lambda s: getattr(s.limits, field))


LIMITS: Final = (
    _governed("maxTokensPerMinute", "max_tokens_per_minute"),
    _governed("maxTokensPerRun", "max_tokens_per_run"),
    _governed("maxCostPerDay", "max_cost_per_day"),
    _governed("maxConcurrent", "max_concurrent"),
    _bound("max_steps"),
    _bound("max_output_tokens"),
    _bound("timeout"),
)


def findings(sides: Sides, before: World, after: World) -> Iterator[Finding]:
    """What the change of one agent means."""
    old, new = sides.specs(Agent)
    name = sides.key.name
    if old is None or new is None:
        world, spec = (after, new) if new is not None else (before, old)
        if spec is None or not (held := _held(world, sides, spec)):
            return
        if new is not None:
            yield sides.widens("agent-added", f"{name} is new, with {held}")
        else:
            yield sides.narrows("agent-removed", f"{name} is deleted, and with it {held}")
        return
    yield from _grants(sides, before, after)
    yield from _roles(sides, after, old, new)
    yield from _tools(sides, old, new)
    yield from _approvals(sides, old, new)
    yield from words.moved(sides, LIMITS, old, new)
    what = f"what {name} tells its model"
    yield from words.fallbacks(sides, what, old.fallback_model_refs, new.fallback_model_refs)
    yield from accepted(sides, old, new)


def accepted(sides: Sides, old: Any, new: Any) -> Iterator[Finding]:
    """Risks that somebody answers for now, or no longer."""
    for risk in words.added(old.accept_risk, new.accept_risk):
        words_of = f"{risk.owner} accepts the risk {risk.risk} until {risk.expires}"
        sentence = f"{sides.key.name}: {words_of} ({risk.reason})"
        yield sides.widens("risk-accepted", sentence, "/spec/accept_risk")
    for risk in words.added(new.accept_risk, old.accept_risk):
        sentence = f"{sides.key.name}: {risk.owner} no longer accepts the risk {risk.risk}"
        yield sides.narrows("risk-not-accepted", sentence)


def _held(world: World, sides: Sides, spec: Agent) -> str:
    granted = [grant.words for grant in effective.grants(world, sides.key)]
    return words.listed(granted + [f"{name} outright" for name in spec.allowed_tools])


def _grants(sides: Sides, before: World, after: World) -> Iterator[Finding]:
    name = sides.key.name
    had, has = effective.grants(before, sides.key), effective.grants(after, sides.key)
    for grant in has:
        if grant.role is None and not _covered(grant, had, before, sides):
            yield sides.widens("grant-gained", f"{name} gains {grant.words}", grant.pointer)
    for grant in had:
        if grant.role is None and not _covered(grant, has, after, sides):
            yield sides.narrows("grant-lost", f"{name} loses {grant.words}", "/spec/tools")


def _covered(grant: Grant, held: Iterable[Grant], world: World, sides: Sides) -> bool:
    """Whether others are enough; what a role grants is no use for a tool it may not pick."""
    agent = world.spec(sides.key, Agent)
    picks = {entry.name for entry in agent.tools} if agent else set()
    return grant.tool in picks and any(other.covers(grant) for other in held)


def _roles(sides: Sides, after: World, old: Agent, new: Agent) -> Iterator[Finding]:
    name = sides.key.name
    granted = list(effective.by_roles(after, new, sides.key.namespace))
    for role in words.added(old.roles, new.roles):
        gains = words.listed(grant.permission for grant in granted if grant.role == role)
        sentence = f"{name} has the role {role} now: {gains or 'nothing'} for any of its tools"
        pointer = f"/spec/roles/{new.roles.index(role)}"
        yield sides.widens("role-added", sentence, pointer)
    for role in words.added(new.roles, old.roles):
        yield sides.narrows("role-removed", f"{name} no longer has the role {role}")


def _tools(sides: Sides, old: Agent, new: Agent) -> Iterator[Finding]:
    name = sides.key.name
    for tool in words.added(old.allowed_tools, new.allowed_tools):
        sentence = f"{name} may call {tool} outright (allowed_tools): no permission is asked"
        pointer = f"/spec/allowed_tools/{new.allowed_tools.index(tool)}"
        yield sides.widens("tool-allowed-outright", sentence, pointer)
    for tool in words.added(new.allowed_tools, old.allowed_tools):
        sentence = f"{name} may no longer call {tool} outright (allowed_tools)"
        yield sides.narrows("tool-not-allowed-outright", sentence)
    had, has = [entry.name for entry in old.tools], [entry.name for entry in new.tools]
    for tool in words.added(had, has):
        if not new.tools[has.index(tool)].permissions:
            sentence = f"{name} may pick {tool}, with what its roles and the rules grant"
            yield sides.widens("tool-added", sentence, f"/spec/tools/{has.index(tool)}")
    for tool in words.added(has, had):
        if not old.tools[had.index(tool)].permissions:
            yield sides.narrows("tool-removed", f"{name} may no longer pick {tool}")


def _approvals(sides: Sides, old: Agent, new: Agent) -> Iterator[Finding]:
    name = sides.key.name
    asked: list[Permission] = old.governance.require_approval
    asks: list[Permission] = new.governance.require_approval
    for permission in asked:
        if not any(other.covers(permission) for other in asks):
            sentence = f"{name} no longer needs a person's approval for {permission}"
            yield sides.widens("approval-removed", sentence, "/spec/governance")
    for index, permission in enumerate(asks):
        if not any(other.covers(permission) for other in asked):
            pointer = f"/spec/governance/requireApproval/{index}"
            sentence = f"{name} needs a person's approval for {permission} now"
            yield sides.narrows("approval-added", sentence, pointer)
