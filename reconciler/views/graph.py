"""The graph of a system, and where a task is in it: as text, as Mermaid and as JSON. Pure."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.times import iso, length
from runner.contract.kinds import AgentSystem
from runner.contract.kinds.agent_system import Join
from runner.contract.kinds.edge import Condition, Edge
from runner.task_record import VisitRecord

_MARKS: Final = {"": "○", "running": "●", "done": "✓", "failed": "✗", "stopped": "■"}
_STYLES: Final = {"": "dim", "running": "yellow", "done": "green", "failed": "red"}
_COLOURS: Final = {
    "running": "fill:#fff3c4,stroke:#b7791f",
    "done": "fill:#d6f5d6,stroke:#2f855a",
    "failed": "fill:#fde2e1,stroke:#c53030",
    "stopped": "fill:#e2e8f0,stroke:#4a5568",
}
_COMPARISONS: Final = {
    "equals": "is",
    "not_equals": "is not",
    "contains": "contains",
    "greater_than": "is more than",
    "less_than": "is less than",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A system, and the visits of one task to its agents, if it is about one."""

    name: str
    place: str
    system: AgentSystem
    task: str | None = None
    state: str | None = None
    visits: tuple[VisitRecord, ...] = ()

    def state_of(self, agent: str) -> str:
        """Where the newest visit to an agent stands; nothing: it was not visited."""
        states = [visit.state for visit in self.visits if visit.agent == agent]
        return states[-1] if states else ""

    def count(self, agent: str) -> int:
        """How often an agent was visited."""
        return sum(visit.agent == agent for visit in self.visits)

    def edges(self) -> list[tuple[str, Edge, bool]]:
        """Every edge with where it starts; True: it delegates."""
        found = []
        for agent in self.system.order():
            found += [(agent, edge, True) for edge in self.system.node(agent).delegates]
            found += [(agent, edge, False) for edge in self.system.onward[agent]]
        return found


def text(drawing: Drawing) -> Text:
    """For a terminal: each agent with what follows it, and the visits of the task."""
    head = Text(drawing.name, style="bold").append(f"  {drawing.place}", style="dim")
    lines = [head]
    if drawing.task is not None:
        lines.append(Text(f"task {drawing.task}  {drawing.state}"))
    lines.append(Text())
    for agent in drawing.system.order():
        lines.append(_agent(drawing, agent))
        outward = [one for one in drawing.edges() if one[0] == agent]
        for position, (_, edge, delegates) in enumerate(outward, 1):
            lines.append(_edge(edge, delegates, last=position == len(outward)))
    if drawing.visits:
        lines += [Text(), *map(_visit, drawing.visits)]
    following = "orloj graph TASK" if drawing.task is None else f"orloj task {drawing.task}"
    lines += [Text(), Text(f"Next: {following}", style="dim")]
    return Text("\n").join(lines)


def mermaid(drawing: Drawing) -> str:
    """A Mermaid flowchart, as GitHub and most wikis draw it."""
    names = {agent: f"n{number}" for number, agent in enumerate(drawing.system.order())}
    lines = ["flowchart TD"]
    for agent, id in names.items():
        label = "<br/>".join(map(_quoted, labelled(drawing, agent)))
        lines.append(f'  {id}["{label}"]' + _class(drawing, agent))
    for start, edge, delegates in drawing.edges():
        words = _quoted(conditions(edge, delegates=delegates))
        line = "-.->" if delegates else "-->"
        label = f'|"{words}"|' if words else ""
        lines.append(f"  {names[start]} {line}{label} {names[edge.to]}")
    lines += [f"  classDef {state} {colours}" for state, colours in _COLOURS.items()]
    return "\n".join(lines) + "\n"


def to_json(drawing: Drawing) -> dict[str, Any]:
    """The graph with its agents, edges and visits."""
    return {
        "system": drawing.name,
        "place": drawing.place,
        "task": drawing.task,
        "state": drawing.state,
        "agents": [
            {
                "name": agent,
                "starts": agent in drawing.system.starts,
                "state": drawing.state_of(agent) or None,
                "visits": drawing.count(agent),
            }
            for agent in drawing.system.order()
        ],
        "edges": [
            {
                "from": start,
                "to": edge.to,
                "delegates": delegates,
                "condition": conditions(edge, delegates=False) or None,
                "labels": edge.labels,
            }
            for start, edge, delegates in drawing.edges()
        ],
        "visits": [
            {
                "number": visit.number,
                "agent": visit.agent,
                "sources": list(visit.sources),
                "phase": visit.phase,
                "state": visit.state,
                "error": visit.error,
                "attempt": visit.attempt,
                "started_at": iso(visit.started_at),
                "duration_us": None
                if visit.ended_at is None
                else visit.ended_at - visit.started_at,
            }
            for visit in drawing.visits
        ],
    }


def conditions(edge: Edge, *, delegates: bool) -> str:
    """When an edge is taken, in words, with its labels; nothing: always."""
    parts = ["delegates"] if delegates else []
    if edge.condition is not None:
        parts.append(_condition(edge.condition))
    if edge.policy.max_traversals is not None:
        parts.append(f"at most {edge.policy.max_traversals} times")
    parts += [f"{name}={value}" for name, value in sorted(edge.labels.items())]
    return ", ".join(parts)


def joined(join: Join) -> str:
    """How an agent waits for several others, in words."""
    if join.mode == "wait_for_all":
        words = "waits for all"
    else:
        counts = [str(join.quorum_count)] if join.quorum_count else []
        counts += [f"{join.quorum_percent:g} %"] if join.quorum_percent else []
        words = f"waits for {' or '.join(counts)}"
    if join.on_failure == "deadletter":
        return words
    return f"{words}, {'without' if join.on_failure == 'skip' else 'told of'} those that fail"


def _condition(condition: Condition) -> str:
    if condition.default:
        return "otherwise"
    parts = []
    if condition.output_contains is not None:
        parts.append(f"says {condition.output_contains!r}")
    if condition.output_not_contains is not None:
        parts.append(f"does not say {condition.output_not_contains!r}")
    if condition.output_matches is not None:
        parts.append(f"matches /{condition.output_matches}/")
    parts += [
        f"has {condition.output_json_path} that {words} {getattr(condition, name)}"
        for name, words in _COMPARISONS.items()
        if getattr(condition, name) is not None
    ]
    return "if it " + " and it ".join(parts)


def labelled(drawing: Drawing, agent: str) -> list[str]:
    """What a node of the graph says, line by line: its name, and what it waits for."""
    count = drawing.count(agent)
    name = agent + (f" ({count} times)" if count > 1 else "")
    onward = drawing.system.onward
    upstream = [one for one in drawing.system.agents if agent in _targets(onward[one])]
    waits = [joined(drawing.system.node(agent).join)] if len(upstream) > 1 else []
    return [name, *waits]


def _targets(edges: Sequence[Edge]) -> set[str]:
    return {edge.to for edge in edges}


def _agent(drawing: Drawing, agent: str) -> Text:
    state = drawing.state_of(agent)
    mark = _MARKS[state] if drawing.task is not None else "○"
    line = Text(f"{mark} ", style=_STYLES.get(state, "dim"))
    name, *waits = labelled(drawing, agent)
    line.append(name, style="bold")
    return line.append("".join(f"  {words}" for words in waits), style="dim")


def _edge(edge: Edge, delegates: bool, *, last: bool) -> Text:
    line = Text("  └─" if last else "  ├─", style="dim")
    line.append("⇢ " if delegates else "▶ ", style="dim").append(edge.to)
    words = conditions(edge, delegates=False)
    return line.append(f"  {plain(words)}", style="dim") if words else line


def _visit(visit: VisitRecord) -> Text:
    line = Text(f"{visit.number:>4} ", style="dim")
    line.append(f"{_MARKS[visit.state]} ", style=_STYLES.get(visit.state, "dim"))
    line.append(visit.agent)
    if visit.phase == "review":
        line.append(" reviews", style="dim")
    if visit.sources:
        line.append(f"  with {', '.join(map(str, visit.sources))}", style="dim")
    if visit.attempt > 1:
        line.append(f"  attempt {visit.attempt}", style="yellow")
    if visit.ended_at is not None:
        line.append(f"  {length(visit.ended_at - visit.started_at)}", style="dim")
    return line.append(f"  {plain(visit.error)}", style="red") if visit.error else line


def _class(drawing: Drawing, agent: str) -> str:
    state = drawing.state_of(agent)
    return f":::{state}" if state else ""


def _quoted(words: str) -> str:
    # Mermaid reads entities in labels, and no backslashes.
    return html.escape(words)
