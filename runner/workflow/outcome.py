"""How the work of a system ends: what it says, or which failure ends it. Pure."""

from collections.abc import Sequence

from runner.workflow.arrival import Standing
from runner.workflow.graph import Graph
from runner.workflow.visit import Phase, State, Visit


def failure(graph: Graph, visits: Sequence[Visit]) -> Visit | None:
    """The first visit that failed and ends the task; None when joins go on without it."""
    known = {visit.number: visit for visit in visits}
    return next(
        (
            visit
            for visit in visits
            if visit.state is State.FAILED and not _absorbed(graph, known, visit)
        ),
        None,
    )


def output(graph: Graph, visits: Sequence[Visit]) -> str | None:
    """What the task says, when nothing is left to begin; None when nobody was done.

    It is what those said whose output goes to nobody; where only `max_turns` ended the
    work, what those said that came last. Several say it under their names.
    """
    said = speakers(graph, visits)
    if len(said) == 1:
        return said[0].output or ""
    return "\n\n".join(f"{visit.agent}:\n{visit.output}" for visit in said) or None


def speakers(graph: Graph, visits: Sequence[Visit]) -> list[Visit]:
    """The visits whose outputs are what the task says, in the order of its agents."""
    ends = Standing(graph, visits).ends()
    own = [visit for visit in ends if not graph.too_deep(visit.depth + 1)]
    last = {visit.agent: visit for visit in own or ends}
    return [last[agent] for agent in graph.agents if agent in last]


def whole(graph: Graph, visits: Sequence[Visit], visit: Visit) -> str | None:
    """What a visit is given of those before it; None for one that begins the work."""
    known = {one.number: one for one in visits}
    sources = [known[number] for number in visit.sources]
    if not sources:
        return None
    if len(sources) == 1 and visit.phase is Phase.WORK and not graph.joins(visit.agent):
        return sources[0].output or ""
    parts = [f"{one.agent}:\n{one.output}" for one in sources]
    lost = [f"{known[number].agent}: no result, it failed" for number in visit.missing]
    return "\n\n".join([*parts, *lost])


def _absorbed(graph: Graph, known: dict[int, Visit], failed: Visit) -> bool:
    """Whether every way on from a visit meets a join that goes on without it."""
    policies: list[str] = []
    waiting, seen = [failed.agent], {failed.agent}
    while waiting:
        onward = [edge.to for edge in graph.system.onward[waiting.pop()]]
        if not onward:
            if failed.delegator is None:
                return False
            gate = known[failed.delegator]
            policies.append(graph.delegate_join(gate.agent).on_failure)
        for agent in onward:
            if graph.joins(agent):
                policies.append(graph.join(agent).on_failure)
            elif agent not in seen:
                seen.add(agent)
                waiting.append(agent)
    return bool(policies) and "deadletter" not in policies
