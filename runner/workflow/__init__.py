"""How work goes through the graph of an AgentSystem. Pure: visits in, visits out.

    ready(graph, visits) ──> the visits to begin now
    output(graph, visits) ──> what the task says in the end, when nothing is left to begin

A **visit** is one turn of one agent: it was begun with the outputs of other visits, its
*sources*, and it ends with an output of its own. Everything follows from the visits that
stand in the journal, so a task that is claimed again goes on where it was, and a join that
fired has fired for good.
"""

from runner.workflow.graph import Graph
from runner.workflow.outcome import failure, output, speakers, whole
from runner.workflow.ready import ready
from runner.workflow.visit import Phase, Start, State, Visit, from_json

__all__ = [
    "Graph",
    "Phase",
    "Start",
    "State",
    "Visit",
    "failure",
    "from_json",
    "output",
    "ready",
    "speakers",
    "whole",
]
