"""Schedules as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from reconciler.schedule.due import FireRecord
from reconciler.views.table import number, paragraphs, table, word
from reconciler.views.times import iso, moment
from runner.task_record import shown_state


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """A schedule, what became of its last moments, newest first, and when the next come.

    `problem` says why it runs nothing; `missed` counts since it began.
    """

    namespace: str
    name: str
    task: str
    schedule: str
    time_zone: str
    concurrency_policy: str
    suspended: bool
    missed: int
    following: Sequence[int]
    fires: Sequence[FireRecord]
    problem: str | None = None


def schedule_list(found: Sequence[ScheduleRecord]) -> Text:
    """The list of schedules, with why the last turn of each ran nothing, if so."""
    if not found:
        return Text("No schedules. A TaskSchedule manifest makes one.")
    headers = ("SCHEDULE", "WHEN", "ZONE", "LAST (UTC)", "OUTCOME", "NEXT (UTC)", "MISSED")
    reasons = [
        Text(f"  {one.namespace}/{one.name}: {reason}", style="dim")
        for one in found
        if (reason := one.problem or (one.fires and one.fires[0].reason))
    ]
    return paragraphs(table(headers, map(_row, found)), Text() if reasons else None, *reasons)


def _row(one: ScheduleRecord) -> tuple[str | Text, ...]:
    last = one.fires[0] if one.fires else None
    return (
        f"{one.namespace}/{one.name}",
        one.schedule,
        one.time_zone,
        moment(last.fire_at if last else None),
        word(_outcome(last)) if last else "-",
        _next(one),
        number(one.missed),
    )


def _next(one: ScheduleRecord) -> str | Text:
    if one.problem is not None:
        return word("unreadable")
    if one.suspended:
        return word("suspended")
    return moment(one.following[0]) if one.following else "never"


def _outcome(fire: FireRecord) -> str:
    """The state of the task, or why there is none."""
    return fire.decision if fire.state is None else shown_state(fire.state)


def schedule_json(one: ScheduleRecord) -> dict[str, Any]:
    """The stable fields of a schedule."""
    return {
        "namespace": one.namespace,
        "name": one.name,
        "task": one.task,
        "schedule": one.schedule,
        "time_zone": one.time_zone,
        "concurrency_policy": one.concurrency_policy,
        "suspended": one.suspended,
        "missed": one.missed,
        "next": [iso(at) for at in one.following],
        "fires": [
            {
                "due": iso(fire.fire_at),
                "decision": fire.decision,
                "reason": fire.reason,
                "task": fire.task,
                "state": None if fire.state is None else shown_state(fire.state),
            }
            for fire in one.fires
        ],
        "problem": one.problem,
    }
