"""Private data, untrusted text and a way out on one agent or one hand-off path. Pure.

A stranger's text can make a model do what the stranger wants. With private data in reach and
a way out, that is a leak waiting for its mail: the plan refuses it, unless somebody answers
for it by name, with a reason and until a day.

    system   intake (untrusted) ──> checker (private) ──> writer (egress)     refused
             writer (egress) ──> checker (private, untrusted)                 nothing leaves
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from reconciler.governance import effective, flow
from reconciler.governance.flow import Part, Trait
from reconciler.governance.world import Declared, World
from reconciler.problem import Problem, Severity, Step
from runner.contract.kinds import Agent, AgentSystem, Key
from runner.contract.kinds.base import AcceptedRisk, named

RISK: Final = "lethal-trifecta"
_HINT: Final = (
    "take one of the three away, or answer for it: accept_risk: [{risk: lethal-trifecta,"
    " owner, reason, expires}] on the {kind}"
)


@dataclass(frozen=True, slots=True)
class _Road:
    """How the three come together: the traits in order, and the agents passed on the way."""

    traits: tuple[Trait, ...]
    agents: tuple[str, ...]


def of_agent(world: World, key: Key, today: date) -> Iterator[Problem]:
    """The problem of an agent that has all three by itself."""
    agent, road = world.spec(key, Agent), _alone(flow.traits(world, key))
    if agent is not None and road is not None:
        declared = world.declared[key]
        yield _problem(declared, road, agent.accept_risk, today)


def of_system(world: World, key: Key, today: date) -> Iterator[Problem]:
    """The problems of the hand-offs of a system, one for each agent with a way out."""
    system = world.spec(key, AgentSystem)
    if system is None:
        return
    after = system.after
    traits = {name: _in_system(world, key, name, after) for name in system.agents}
    for name in system.agents:
        if _alone(traits[name]) is not None:
            continue  # Said of the agent itself.
        road = _leading_to(name, traits, after)
        if road is not None:
            agent = world.spec(named("Agent", name, key.namespace), Agent)
            answered = [*system.accept_risk, *(agent.accept_risk if agent else [])]
            yield _problem(world.declared[key], road, answered, today)


def _alone(traits: Iterator[Trait] | Sequence[Trait]) -> _Road | None:
    found: dict[Part, Trait] = {}
    for trait in traits:
        found.setdefault(trait.part, trait)
    if len(found) < len(Part):
        return None
    ordered = tuple(found[part] for part in (Part.UNTRUSTED, Part.PRIVATE, Part.EGRESS))
    return _Road(ordered, (ordered[0].agent,))


def _in_system(
    world: World, key: Key, name: str, after: Mapping[str, Sequence[str]]
) -> tuple[Trait, ...]:
    """The traits of an agent, but for tools that an agent before it withholds."""
    agent_key = named("Agent", name, key.namespace)
    agent = world.spec(agent_key, Agent)
    if agent is None:
        return ()
    before = [other for other in after if other != name and _path(other, name, after)]
    withheld = frozenset(
        tool
        for tool, _ in effective.pickable(agent, agent_key.namespace)
        if effective.withheld(world, key, name, tool, before) is not None
    )
    return tuple(flow.traits(world, agent_key, withheld))


def _leading_to(
    last: str, traits: Mapping[str, Sequence[Trait]], after: Mapping[str, Sequence[str]]
) -> _Road | None:
    """The shortest way on which the other two come to an agent with a way out."""
    out = next((trait for trait in traits[last] if trait.part is Part.EGRESS), None)
    if out is None:
        return None
    legs = []
    for part in (Part.UNTRUSTED, Part.PRIVATE):
        ways = [
            (path, trait)
            for name, held in traits.items()
            for trait in held
            if trait.part is part and (path := _path(name, last, after))
        ]
        if not ways:
            return None
        legs.append(min(ways, key=lambda way: len(way[0])))
    longest = max((path for path, _ in legs), key=len)
    met = [trait for _, trait in sorted(legs, key=lambda leg: -len(leg[0]))]
    # Two legs that meet only in the end are both named: the second is no part of the first.
    passed = dict.fromkeys([*(t.agent for t in met if t.agent not in longest), *longest])
    return _Road((*met, out), tuple(passed))


def _path(start: str, end: str, after: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The shortest way along hand-offs, both ends included; nothing when there is none."""
    if start == end:
        return (start,)
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while ways:
        longer: list[tuple[str, ...]] = []
        for way in ways:
            for following in after.get(way[-1], ()):
                if following == end:
                    return (*way, end)
                if following not in seen:
                    seen.add(following)
                    longer.append((*way, following))
        ways = longer
    return ()


def _problem(
    declared: Declared, road: _Road, answered: Sequence[AcceptedRisk], today: date
) -> Problem:
    """An error; a warning when somebody answers for it today."""
    kind = "agent" if declared.key.kind == "Agent" else "system or on its last agent"
    path = f" along {' → '.join(road.agents)}" if len(road.agents) > 1 else ""
    facts = ", ".join(trait.words for trait in road.traits)
    message = f"lethal trifecta in {declared.key}{path}: {facts}"
    hint = _HINT.replace("{kind}", kind)
    severity, pointer = Severity.ERROR, ""
    accepted = max(answered, key=lambda risk: risk.expires, default=None)
    if accepted is not None:
        pointer = "/spec/accept_risk"
        if accepted.expires < today:
            message += f"; {accepted.owner} accepted it until {accepted.expires}, which is over"
            hint = "take one of the three away, or have it accepted again, with another day"
        else:
            severity = Severity.WARNING
            message += f"; accepted by {accepted.owner} until {accepted.expires}"
            hint = accepted.reason
    return Problem(
        declared.path,
        declared.line_of(pointer),
        1,
        message,
        hint,
        severity,
        rule=RISK,
        flow=tuple(Step(trait.path, trait.line, trait.words) for trait in road.traits),
    )
