"""What a plan touches: a line for each change, and one for all of them. Pure.

    touches 2 agents, 1 schedule (next 2026-11-25 04:00), 3 tasks in flight, 412 calls in 7 days
    3 tasks in flight finish on 696f056d

    impact    {agents, systems, schedules, tasks_in_flight, calls, bounded,
               changes: [{address, agents[], systems[], schedules[{address, next}],
                          tasks_in_flight{STATE: count}, in_flight{}, commits[], calls}]}

The first five are counts. `in_flight` counts what becomes of the tasks: `continue`, `cancel`,
`drain`. `calls` counts those of tasks queued in the last seven days; `bounded` says that there
may be more of everything.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.impact import Impact, InFlight, Scheduled, Touched
from reconciler.views.plain import plain
from reconciler.views.problems import counted
from reconciler.views.times import iso, moment
from runner.contract.kinds import Key

_COMMITS_SHOWN: Final = 3


def change_lines(impact: Impact | None, key: Key) -> Iterator[Text]:
    """What one change touches; nothing where that is nothing."""
    touched = impact.changes.get(key) if impact else None
    if impact is None or touched is None:
        return
    if words := _words(touched, impact.bounded):
        yield Text(f"      touches {words}", "magenta")
    for fate, count in touched.fates.items():
        yield Text(f"      {_fate(fate, count, touched.commits)}", "dim")


def summary(impact: Impact | None) -> str:
    """` The plan touches 2 agents, …`, to stand behind the counts; nothing for nothing."""
    words = _words(impact.total, impact.bounded) if impact else ""
    return f" The plan touches {words}." if words else ""


def impact_json(impact: Impact | None) -> dict[str, Any] | None:
    """The same for machines; None where nobody looked."""
    if impact is None:
        return None
    total = impact.total
    return {
        "agents": len(total.agents),
        "systems": len(total.systems),
        "schedules": len(total.schedules),
        "tasks_in_flight": total.in_flight,
        "calls": total.calls,
        "bounded": impact.bounded,
        "changes": [_change_json(key, one) for key, one in impact.changes.items()],
    }


def _change_json(key: Key, touched: Touched) -> dict[str, Any]:
    return {
        "address": str(key),
        "agents": [str(item) for item in touched.agents],
        "systems": [str(item) for item in touched.systems],
        "schedules": [
            {"address": str(item.key), "next": iso(item.next_us)} for item in touched.schedules
        ],
        "tasks_in_flight": dict(touched.tasks),
        "in_flight": {fate.value: count for fate, count in touched.fates.items()},
        "commits": list(touched.commits),
        "calls": touched.calls,
    }


def _words(touched: Touched, bounded: bool) -> str:
    counts = [
        (len(touched.agents), "agent", ""),
        (len(touched.systems), "system", ""),
        (len(touched.schedules), "schedule", _next(touched.schedules)),
        (touched.in_flight, "task", " in flight"),
        (touched.calls, "call", " in 7 days"),
    ]
    parts = [f"{counted(count, word)}{more}" for count, word, more in counts if count]
    return ("at least " if bounded and parts else "") + ", ".join(parts)


def _next(schedules: tuple[Scheduled, ...]) -> str:
    due = [item.next_us for item in schedules if item.next_us is not None]
    return f" (next {moment(min(due))})" if due else ""


def _fate(fate: InFlight, count: int, began: Sequence[str]) -> str:
    tasks, is_one = f"{counted(count, 'task')} in flight", count == 1
    match fate:
        case InFlight.CANCEL:
            return f"{tasks} {'is' if is_one else 'are'} cancelled"
        case InFlight.DRAIN:
            return f"{tasks} {'is' if is_one else 'are'} awaited"
    commits = [plain(commit[:8]) for commit in began[:_COMMITS_SHOWN]]
    if len(began) > _COMMITS_SHOWN:
        commits.append("…")
    where = f" on {', '.join(commits)}" if commits else ""
    return f"{tasks} {'finishes' if is_one else 'finish'}{where}"
