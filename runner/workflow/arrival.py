"""What visits handed over, and who has not taken it yet. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.workflow.graph import Graph
from runner.workflow.visit import Phase, State, Visit


@dataclass(frozen=True, slots=True)
class Arrival:
    """An output that waits for an agent to begin with it."""

    source: Visit
    agent: str
    delegator: int | None
    delegated: bool


class Standing:
    """A task's visits, and all that follows from them at this moment."""

    def __init__(self, graph: Graph, visits: Sequence[Visit]) -> None:
        self.graph = graph
        self.visits = visits
        self.known = {visit.number: visit for visit in visits}
        self.before: dict[int, frozenset[int]] = {}
        for visit in visits:
            sources = visit.sources
            self.before[visit.number] = frozenset(sources).union(
                *(self.before[source] for source in sources)
            )
        taken = {
            (source, visit.agent)
            for visit in visits
            if visit.phase is Phase.WORK
            for source in visit.sources
        }
        handed = [one for visit in visits for one in self._handed(visit)]
        self.arrivals = [one for one in handed if (one.source.number, one.agent) not in taken]
        self._handing = {one.source.number for one in handed}
        self.running = [visit for visit in visits if visit.state is State.RUNNING]
        self.failed = [visit for visit in visits if visit.state is State.FAILED]

    @property
    def gates(self) -> list[Visit]:
        """The visits that delegated, and have not looked at what came of it."""
        reviewed = {
            source
            for visit in self.visits
            if visit.phase is Phase.REVIEW
            for source in visit.sources
        }
        return [
            visit
            for visit in self.visits
            if visit.state is State.DONE
            and visit.number not in reviewed
            and self.graph.delegated(visit)
        ]

    def ends(self, delegator: int | None = None) -> list[Visit]:
        """The visits that are done and hand over to nobody, of one delegation or of none."""
        return [
            visit
            for visit in self.visits
            if visit.state is State.DONE
            and visit.delegator == delegator
            and visit.number not in self._handing
        ]

    def _handed(self, visit: Visit) -> list[Arrival]:
        if visit.state is not State.DONE:
            return []
        if delegates := self.graph.delegated(visit):
            return [Arrival(visit, edge.to, visit.number, True) for edge in delegates]
        edges = self.graph.onward(visit, self.visits)
        return [Arrival(visit, edge.to, visit.delegator, False) for edge in edges]
