"""What happens to tasks, one line each: for reading along and for machines. Pure.

The lines follow the audit log, which has everything in the order it became durable; the
journal adds what was said. Requests and permissions granted are left out: the line of the
call itself says that both happened.
"""

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import short, word
from reconciler.views.tasks import step_json, what
from reconciler.views.times import iso, length, time_of_day
from runner.task_record import StepRecord

_WORDS: Final = {
    "task.queued": "queued",
    "task.claimed": "claimed",
    "task.released": "released",
    "task.parked": "parked",
    "task.finished": "finished",
    "task.cancelled": "cancelled",
    "task.resolved": "resolved",
    "task.retried": "retried",
    "task.dropped": "dropped",
    "action.executed": "done",
    "action.failed": "failed",
    "action.unknown": "unknown",
    "action.approval_granted": "approved",
    "action.approval_denied": "denied",
    "action.expired": "expired",
    "turn.repeated": "repeated",
    "turn.repair": "repair",
    "turn.violated": "violated",
}
_WHAT_MAX: Final = 160


def told(entry: Mapping[str, Any]) -> bool:
    """Whether an entry has a line."""
    if entry["type"] == "action.decided":
        return bool(entry.get("decision") != "allow")
    return entry["type"] in _WORDS


def log_line(entry: Mapping[str, Any], step: StepRecord | None) -> Text:
    """`03:00:00.123  TASK  agent  call  how it went  how long  what came of it`."""
    line = Text.assemble(
        (time_of_day(entry["time"]), "dim"), "  ", plain(str(entry.get("task") or "-")), "  "
    )
    if entry["type"].startswith("task."):
        return line.append_text(_state_change(entry))
    turn = entry["type"].startswith("turn.")
    named = "turn" if turn else step.name if step else "-"
    called = entry.get("tool") or entry.get("model") or named
    line.append(f"{plain(str(entry.get('agent') or '-'))}  {plain(str(called))}  ")
    line.append_text(word(_outcome(entry)))
    if (took := entry.get("duration_us")) is not None:
        line.append(f"  {length(took)}", style="dim")
    said = what(step) if step is not None and step.result is not None else ""
    said = said or str(entry.get("reason") or "")
    return line.append(f"  {plain(short(said, _WHAT_MAX))}" if said else "")


def _state_change(entry: Mapping[str, Any]) -> Text:
    line = Text.assemble((_WORDS[entry["type"]], "bold"))
    if outcome := entry.get("outcome"):
        line.append("  ").append_text(word(str(outcome)))
    for name in ("resource", "actor", "reason"):
        if value := entry.get(name):
            line.append(f"  {plain(short(str(value), _WHAT_MAX))}")
    return line


def _outcome(entry: Mapping[str, Any]) -> str:
    if entry["type"] == "action.decided":
        return "denied" if entry.get("decision") == "deny" else str(entry.get("decision"))
    return _WORDS[entry["type"]]


def log_json(entry: Mapping[str, Any], step: StepRecord | None) -> dict[str, Any]:
    """The stable fields of a line: the entry's own, its time readable, and the step."""
    return {
        **entry,
        "time": iso(entry["time"]),
        "journal": None if step is None else step_json(step),
    }
