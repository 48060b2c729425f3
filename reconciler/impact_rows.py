"""What a plan touches, read from the record: dependents, schedules, tasks, calls of a week.

    changed <──names── agents, systems, tasks <──names── schedules        upwards
    changed <──held by── manifest sets <──pinned── tasks in flight
    steps of tasks queued in the last days, newest first ──> calls

Read only where somebody looks at the plan, and never whole tables: each reading goes by an
index and has an end, and says so when it met it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler import in_flight, in_flight_rows, recorded
from reconciler.change import Change
from reconciler.impact import Impact, InFlight, Scheduled, Touched
from reconciler.in_flight_rows import TaskInFlight
from runner.contract import clock, errors
from runner.contract.kinds import Key, TaskSchedule, spec_of
from runner.contract.kinds.base import named
from runner.contract.timetable import Timetable

CHANGES_MAX: Final = 500
"""Changes that are looked at; a plan shows no more."""
REACHED_MAX: Final = 5_000
LEVELS_MAX: Final = 8
SCHEDULES_MAX: Final = 100
CALLS_MAX: Final = 50_000
CALLS_US: Final = 7 * 86_400 * 1_000_000
CALLS: Final = (
    "SELECT namespace, subject_kind, subject_name, task_name, agent, s.kind, s.name, count(*)"
    " FROM (SELECT task_id, agent, kind, name FROM step WHERE task_id >= ? AND kind != 'turn'"
    " ORDER BY task_id DESC LIMIT ?) AS s JOIN task ON task.id = s.task_id"
    " GROUP BY namespace, subject_kind, subject_name, task_name, agent, s.kind, s.name"
)


@dataclass(frozen=True, slots=True)
class _Calls:
    """Calls of one agent, for one subject and Task, to one model or tool."""

    subject: Key
    task_name: str | None
    agent: Key
    kind: str
    name: str
    count: int

    @property
    def tool(self) -> Key | None:
        """The tool they asked for; None for a model."""
        return named("Tool", self.name, self.agent.namespace) if self.kind == "tool" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """All that was read, for whoever counts it up."""

    dependents: Mapping[Key, frozenset[Key]]
    schedules: Mapping[Key, int | None]
    tasks: Mapping[Key, Sequence[TaskInFlight]]
    fates: Mapping[str, InFlight]
    calls: Sequence[_Calls]


def look(connection: Connection, changes: Sequence[Change], now_us: int) -> Impact:
    """What the changes touch."""
    shown = [change for change in changes[:CHANGES_MAX] if _is_felt(change)]
    dependents, cut = _dependents(connection, [change.standing for change in shown])
    flying = in_flight_rows.tasks(connection, in_flight_rows.READ_MAX)
    calls = _calls(connection, now_us)
    reached = {key for keys in dependents.values() for key in keys}
    tasks = in_flight_rows.under(connection, flying, shown)
    seen = _Seen(
        dependents=dependents,
        schedules=_following(connection, reached, now_us),
        tasks=tasks,
        fates=_fates(shown, tasks),
        calls=calls,
    )
    touched: dict[Key, Touched] = {}
    counted: set[_Calls] = set()
    for change in shown:
        its = [item for item in calls if _concerns(item, change, dependents[change.standing])]
        counted.update(its)
        touched[change.key] = _touched(seen, [change.standing], its)
    bounded = cut or len(changes) > CHANGES_MAX or len(flying) >= in_flight_rows.READ_MAX
    return Impact(
        changes=touched,
        total=_touched(seen, [change.standing for change in shown], counted),
        bounded=bounded or sum(item.count for item in calls) >= CALLS_MAX,
    )


def _is_felt(change: Change) -> bool:
    return change.before is None or change.after is None or change.respecified


def _fates(
    changes: Sequence[Change], tasks: Mapping[Key, Sequence[TaskInFlight]]
) -> Mapping[str, InFlight]:
    """What becomes of each task: one change that cancels or drains it decides for all."""
    order = (InFlight.CONTINUE, InFlight.DRAIN, InFlight.CANCEL)
    return {
        task.id: wanted
        for wanted in order  # The last one counts.
        for change in in_flight.asking(changes, wanted)
        for task in tasks.get(change.standing, ())
    }


def _touched(seen: _Seen, keys: Iterable[Key], calls: Iterable[_Calls]) -> Touched:
    listed = list(keys)
    reached = sorted({item for key in listed for item in seen.dependents.get(key, ())})
    tasks = {task.id: task for key in listed for task in seen.tasks.get(key, ())}
    states = Counter(task.state for task in tasks.values())
    return Touched(
        agents=tuple(key for key in reached if key.kind == "Agent"),
        systems=tuple(key for key in reached if key.kind == "AgentSystem"),
        schedules=tuple(
            Scheduled(key, seen.schedules.get(key))
            for key in reached
            if key.kind == "TaskSchedule"
        ),
        tasks=dict(sorted(states.items())),
        fates=dict(sorted(Counter(seen.fates[task] for task in tasks).items())),
        commits=tuple(sorted({task.commit for task in tasks.values() if task.commit})),
        calls=sum(item.count for item in calls),
    )


def _dependents(
    connection: Connection, keys: Sequence[Key]
) -> tuple[Mapping[Key, frozenset[Key]], bool]:
    """Who names each key, and who names those; and whether there was more than was read."""
    named_by: dict[Key, set[Key]] = {}
    fresh, seen = set(keys), set(keys)
    for _ in range(LEVELS_MAX):
        found: set[Key] = set()
        for target, source in recorded.naming(connection, sorted(fresh)):
            named_by.setdefault(target, set()).add(source)
            found.add(source)
        fresh = found - seen
        seen |= fresh
        if not fresh or len(seen) > REACHED_MAX:
            break
    return {key: _closure(key, named_by) for key in keys}, bool(fresh)


def _closure(key: Key, named_by: Mapping[Key, Collection[Key]]) -> frozenset[Key]:
    found: set[Key] = set()
    waiting = [key]
    while waiting:
        fresh = set(named_by.get(waiting.pop(), ())) - found
        found |= fresh
        waiting += fresh
    return frozenset(found - {key})


def _following(
    connection: Connection, reached: Iterable[Key], now_us: int
) -> Mapping[Key, int | None]:
    """When schedules come due next; None for one that is suspended or cannot be read."""
    wanted = sorted(key for key in reached if key.kind == "TaskSchedule")[:SCHEDULES_MAX]
    return {
        key: _next_us(item.body, now_us)
        for key, item in recorded.resources_with(connection, wanted).items()
    }


def _next_us(body: str, now_us: int) -> int | None:
    try:
        spec = spec_of("TaskSchedule", body)
        assert isinstance(spec, TaskSchedule)
        return None if spec.suspend else Timetable(spec.schedule, spec.time_zone).after(now_us)
    except (errors.Refused, ValueError):
        return None  # What this host cannot tell, `orloj schedules` explains.


def _calls(connection: Connection, now_us: int) -> list[_Calls]:
    since = clock.first_id(max(0, now_us - CALLS_US))
    rows = connection.exec_driver_sql(CALLS, (since, CALLS_MAX))
    return [
        _Calls(
            Key(namespace, subject_kind, subject_name),
            task_name,
            named("Agent", agent, namespace),
            *(kind, name, count),
        )
        for namespace, subject_kind, subject_name, task_name, agent, kind, name, count in rows
    ]


def _concerns(calls: _Calls, change: Change, dependents: Collection[Key]) -> bool:
    """Whether calls were made by, through or to what changes."""
    key = change.standing
    match key.kind:
        case "Tool":
            return calls.tool == key
        case "Agent":
            return calls.agent == key
        case "AgentSystem":
            return calls.subject == key
        case "Task":
            return calls.task_name == key.name and calls.subject == in_flight_rows.worker_of(
                change
            )
    return calls.agent in dependents
