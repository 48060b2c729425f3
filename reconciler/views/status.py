"""What is applied, what runs and what is stuck: as words and as JSON. Pure.

Stuck is what waits for something that will not come by itself. A failed task is not
stuck: it is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.text import Text

from reconciler.proof.covered import Covered
from reconciler.views import coverage as coverage_view
from reconciler.views import sources as source_view
from reconciler.views.sources import SourceStatus
from reconciler.views.table import heading, number, pairs, paragraphs, table, word
from reconciler.views.times import iso, moment
from runner.task_record import WAITS_FOR_PERSON, WorkerRecord

_WAITS_FOR_WORKER: Final = ("pending", "backing_off", "running")


@dataclass(frozen=True, slots=True)
class ScheduleTotals:
    """How many schedules there are, how many are suspended, and the moments missed."""

    count: int
    suspended: int
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything `orloj status` says. `resources` maps a kind to (git, by hand)."""

    home: str
    now_us: int
    sources: Sequence[SourceStatus] = ()
    """Every repository that is followed, the default one first, and those still owning."""
    resources: Mapping[str, tuple[int, int]]
    daemon_running: bool
    runner_running: bool
    schedules: ScheduleTotals
    tasks: Mapping[str, int]
    tasks_unmatched: int = 0
    approvals: int = 0
    limit_waits: Sequence[tuple[str, str, int, int]] = ()
    """Limits that tasks wait for: (limit, of whom, how many, when the next looks again)."""
    drift: Mapping[str, int] = field(default_factory=dict)
    """How many things are not as they were applied, by repository."""
    workers: Sequence[WorkerRecord]
    audit: Covered


def stuck(status: Status) -> list[str]:
    """What needs a person, each as a clause."""
    found = source_view.stuck(status.sources)
    waiting = sum(status.tasks.get(state, 0) for state in _WAITS_FOR_WORKER)
    if waiting and not status.runner_running:
        found.append(f"{_tasks(waiting)} for a runner, and none is running")
    if status.tasks_unmatched:
        found.append(
            f"{_tasks(status.tasks_unmatched)} for a worker with another region, GPU or model"
        )
    asking = sum(status.tasks.get(state, 0) for state in WAITS_FOR_PERSON)
    if asking:
        found.append(f"{_tasks(asking)} for a person")
    return found + coverage_view.stuck(status.audit)


def _tasks(count: int) -> str:
    return "1 task waits" if count == 1 else f"{number(count)} tasks wait"


def status_words(status: Status) -> Text:
    """The status for people."""
    reasons = stuck(status)
    return paragraphs(
        source_view.source_words(status.sources, status.home, status.now_us),
        heading("\nResources"),
        _resources(status.resources),
        heading("\nRunning"),
        pairs(_running(status)),
        heading("\nAudit log"),
        pairs(coverage_view.lines(status.audit)),
        Text("\nStuck: " + "; ".join(reasons) + ".", style="bold red") if reasons else None,
        Text(f"\nNext: {_next(status)}", style="dim"),
    )


def _resources(resources: Mapping[str, tuple[int, int]]) -> Text:
    if not resources:
        return Text("  none applied")
    rows = [
        (kind, number(git), number(by_hand))
        for kind, (git, by_hand) in sorted(resources.items())
    ]
    return table(("KIND", "GIT", "BY HAND"), rows, "  ")


def _running(status: Status) -> list[tuple[str, str | Text]]:
    def mark(running: bool) -> Text:
        return Text("running", style="green") if running else Text("not running", style="dim")

    busy = sum(worker.busy for worker in status.workers)
    slots = sum(worker.slots for worker in status.workers)
    workers = f"{len(status.workers)} with {number(slots)} slots, {number(busy)} busy"
    counts = [
        Text.assemble(f"{number(count)} ", word(state))
        for state, count in sorted(status.tasks.items())
    ]
    return [
        ("daemon", mark(status.daemon_running)),
        ("runner", mark(status.runner_running)),
        ("workers", workers if status.runner_running else "none"),
        ("tasks", Text(", ").join(counts) if counts else "none"),
        ("approvals", f"{number(status.approvals)} wait" if status.approvals else "none"),
        ("schedules", _schedules(status.schedules)),
        *[
            ("waiting", f"{_tasks(count)} for {limit} of {of}, until {moment(due_us)} UTC")
            for limit, of, count, due_us in status.limit_waits
        ],
    ]


def _schedules(totals: ScheduleTotals) -> str:
    parts = [number(totals.count) if totals.count else "none"]
    parts += [f"{number(totals.suspended)} suspended"] * (totals.suspended > 0)
    parts += [f"{number(totals.missed)} moments missed"] * (totals.missed > 0)
    return ", ".join(parts)


def _next(status: Status) -> str:
    if not status.daemon_running or not status.runner_running:
        missing = [
            name
            for name, running in (
                ("daemon", status.daemon_running),
                ("worker", status.runner_running),
            )
            if not running
        ]
        return "orloj up" if len(missing) == 2 else f"orloj {missing[0]}"
    if following := source_view.next_command(status.sources):
        return following
    if status.approvals:
        return "orloj approvals"
    return "orloj tasks" if status.tasks else "orloj run AGENT --input k=v"


def status_json(status: Status) -> dict[str, Any]:
    """The stable fields of the status."""
    return {
        "home": status.home,
        **source_view.sources_json(status.sources),
        "resources": [
            {"kind": kind, "git": git, "by_hand": by_hand}
            for kind, (git, by_hand) in sorted(status.resources.items())
        ],
        "daemon_running": status.daemon_running,
        "runner_running": status.runner_running,
        "schedules": {
            "count": status.schedules.count,
            "suspended": status.schedules.suspended,
            "missed": status.schedules.missed,
        },
        "tasks": dict(sorted(status.tasks.items())),
        "tasks_unmatched": status.tasks_unmatched,
        "approvals": status.approvals,
        "drift": dict(status.drift),
        "limit_waits": [
            {"limit": limit, "of": of, "tasks": count, "until": iso(due_us)}
            for limit, of, count, due_us in status.limit_waits
        ],
        "workers": [
            {
                "id": worker.id,
                "host": worker.host,
                "pid": worker.pid,
                "state": worker.state,
                "slots": worker.slots,
                "busy": worker.busy,
                "started_at": iso(worker.started_at),
                "seen_at": iso(worker.seen_at),
            }
            for worker in status.workers
        ],
        "audit": coverage_view.covered_json(status.audit),
        "stuck": stuck(status),
    }
