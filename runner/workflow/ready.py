"""Which visits may begin now. Pure, and the same whenever it is asked of the same visits.

    an agent with one edge into it   begins with every output that comes
    a join                           begins once for a round: when all came that can come,
                                     or as many as its quorum wants
    an agent that delegated          begins to review when its delegates have reported

A join counts branches, never messages: one that was not taken, or that failed, is not waited
for. Where joins wait for each other in a ring, the first of the agents begins with what it
has, so that no graph stands still; `max_turns` bounds the depth, `VISITS_MAX` the number.
"""

import math
from collections.abc import Sequence

from runner.contract.kinds.agent_system import Join
from runner.workflow.arrival import Arrival, Standing
from runner.workflow.graph import Graph
from runner.workflow.visit import Phase, Start, Visit


def ready(graph: Graph, visits: Sequence[Visit]) -> list[Start]:
    """The visits to begin now; none while others must end first, or when all is done."""
    if not visits:
        return [Start(agent, (), 1) for agent in graph.starts]
    now = Standing(graph, visits)
    arrivals = [one for one in now.arrivals if not _late(now, one)]
    at_once = [one for one in arrivals if one.delegated or not graph.joins(one.agent)]
    waiting = _rounds(graph, [one for one in arrivals if one not in at_once])
    active = _active(now, at_once, waiting)
    found = [_start(now, (one,)) for one in at_once]
    found += [_start(now, one) for one in waiting if _complete(now, one, active)]
    found += [_review(now, gate) for gate in now.gates if _reported(now, gate, arrivals)]
    if found or now.running:
        return found
    first = [_start(now, one) for one in waiting[:1]]
    return first or [_review(now, gate) for gate in now.gates[:1]]


def required(join: Join, branches: int) -> int:
    """How many of so many branches a join wants."""
    if join.mode == "wait_for_all":
        return branches
    share = math.ceil(branches * join.quorum_percent / 100)
    return max(1, min(branches, max(join.quorum_count, share)))


def _start(now: Standing, arrivals: Sequence[Arrival]) -> Start:
    agent = arrivals[0].agent
    sources = tuple(sorted(one.source.number for one in arrivals))
    depth = 1 + max(one.source.depth for one in arrivals)
    missing: tuple[int, ...] = ()
    if now.graph.joins(agent) and now.graph.join(agent).on_failure == "continue_partial":
        branches = set(now.graph.upstream[agent])
        missing = tuple(
            visit.number
            for visit in now.failed
            if branches & now.graph.reached([visit.agent], without=agent)
        )
    return Start(agent, sources, depth, Phase.WORK, arrivals[0].delegator, missing)


def _rounds(graph: Graph, arrivals: Sequence[Arrival]) -> list[tuple[Arrival, ...]]:
    """What waits at each join: of every branch the oldest, apart by delegation."""
    rounds: dict[tuple[int, int], dict[str, Arrival]] = {}
    for one in arrivals:
        place = (graph.agents.index(one.agent), one.delegator or 0)
        rounds.setdefault(place, {}).setdefault(one.source.agent, one)
    return [tuple(rounds[place].values()) for place in sorted(rounds)]


def _late(now: Standing, arrival: Arrival) -> bool:
    """Whether its join went on without it, a quorum being enough."""
    join = now.graph.join(arrival.agent)
    if arrival.delegated or not now.graph.joins(arrival.agent) or join.mode != "quorum":
        return False
    source = arrival.source
    led_here = now.before[source.number] | {source.number}
    return any(
        visit.agent == arrival.agent
        and visit.phase is Phase.WORK
        and visit.delegator == arrival.delegator
        and visit.number not in led_here
        and source.agent not in {now.known[one].agent for one in visit.sources}
        for visit in now.visits
    )


def _active(
    now: Standing, at_once: Sequence[Arrival], waiting: Sequence[Sequence[Arrival]]
) -> list[str]:
    """The agents that work, or that will without anything else having to come."""
    return [
        *(visit.agent for visit in now.running),
        *(one.agent for one in at_once),
        *(one[0].agent for one in waiting),
        *(visit.agent for visit in now.gates),
    ]


def _complete(now: Standing, waiting: Sequence[Arrival], active: Sequence[str]) -> bool:
    """Whether a join has what it wants, or all that can come."""
    agent, graph = waiting[0].agent, now.graph
    others = [one for one in active if one != agent]
    if any(visit.agent == agent for visit in now.running):
        others += graph.system.after[agent]
    reached = graph.reached(others, without=agent)
    came = {one.source.agent for one in waiting}
    coming = {one for one in graph.upstream[agent] if one in reached and one not in came}
    if not coming:
        return True
    join = graph.join(agent)
    if join.mode == "wait_for_all":
        return False
    failed = set() if join.on_failure == "skip" else _failed_branches(now, agent)
    branches = len(came | coming | failed)
    return len(came) >= required(join, branches)


def _failed_branches(now: Standing, agent: str) -> set[str]:
    """The branches into a join that a visit that failed may have led to."""
    reached = now.graph.reached([visit.agent for visit in now.failed], without=agent)
    return {one for one in now.graph.upstream[agent] if one in reached}


def _reported(now: Standing, gate: Visit, arrivals: Sequence[Arrival]) -> bool:
    """Whether enough of those that a visit delegated to have reported, or no more can."""
    busy = any(gate.number in now.before[visit.number] for visit in now.running)
    arriving = any(
        one.source is gate or gate.number in now.before[one.source.number] for one in arrivals
    )
    nested = any(gate.number in now.before[other.number] for other in now.gates)
    if not (busy or arriving or nested):
        return True
    join = now.graph.delegate_join(gate.agent)
    if join.mode == "wait_for_all":
        return False
    branches = [edge.to for edge in now.graph.delegated(gate)]
    left_out = _failed_delegates(now, gate) if join.on_failure == "skip" else set()
    came = {branch for visit in now.ends(gate.number) for branch in _branches(now, gate, visit)}
    return len(came) >= required(join, len(set(branches) - left_out))


def _failed_delegates(now: Standing, gate: Visit) -> set[str]:
    failed = [visit for visit in now.failed if visit.delegator == gate.number]
    return {branch for visit in failed for branch in _branches(now, gate, visit)}


def _branches(now: Standing, gate: Visit, visit: Visit) -> set[str]:
    """The delegates that a visit's work goes back to."""
    line = [now.known[number] for number in (*now.before[visit.number], visit.number)]
    return {one.agent for one in line if one.sources == (gate.number,)}


def _review(now: Standing, gate: Visit) -> Start:
    reports = now.ends(gate.number)
    sources = (gate.number, *(visit.number for visit in reports))
    missing: tuple[int, ...] = ()
    if now.graph.delegate_join(gate.agent).on_failure == "continue_partial":
        failed = [visit for visit in now.failed if visit.delegator == gate.number]
        missing = tuple(visit.number for visit in failed)
    return Start(gate.agent, sources, gate.depth + 2, Phase.REVIEW, gate.delegator, missing)
