"""What people decided about tasks, as words and as JSON; the list of dead letters. Pure.

The fields of the JSON forms are promises; docs/cli.md lists them.
"""

from collections.abc import Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import number, paragraphs, short, table, word
from reconciler.views.times import moment
from runner.task_record import Decided, TaskRecord

SHOWN_MAX: Final = 20


def decided_lines(decided: Sequence[Decided]) -> Text:
    """A line a task: its id, the state it had and the state it has."""
    if not decided:
        return Text("No task fits; nothing was changed.")
    lines = [_line(item) for item in decided[:SHOWN_MAX]]
    if len(decided) > SHOWN_MAX:
        lines.append(Text(f"and {number(len(decided) - SHOWN_MAX)} more"))
    return paragraphs(*lines)


def _line(item: Decided) -> Text:
    line = Text.assemble(item.id, "  ", word(item.was), " -> ", word(item.state))
    if item.call is not None:
        line.append(f"  (step {item.step}: {plain(item.call)})", style="dim")
    return line


def next_command(decided: Sequence[Decided]) -> str:
    """What to type next; empty when nothing was decided."""
    if not decided:
        return ""
    for state, following in (
        ("unknown_outcome", "orloj task resolve {} --ran, or --not-ran"),
        ("pending", "orloj logs -f {}"),
        ("cancelled", "orloj task {}"),
        ("dropped", "orloj tasks --state dropped"),
    ):
        fitting = [item.id for item in decided if item.state == state]
        if fitting:
            return "Next: " + following.format(fitting[0])
    return ""


def letter_list(letters: Sequence[TaskRecord]) -> Text:
    """Dead letters with their reasons, and what to type next."""
    if not letters:
        return Text("No dead letters.")
    rows = [
        (
            task.id,
            word(task.state),
            task.subject,
            moment(task.finished_at),
            short(task.error or ""),
        )
        for task in letters
    ]
    headers = ("TASK", "STATE", "SUBJECT", "ENDED (UTC)", "WHY")
    following = "\nNext: orloj dead show ID, then orloj dead retry ID or orloj dead drop ID"
    return paragraphs(table(headers, rows), Text(following, style="dim"))


def decided_json(item: Decided) -> dict[str, Any]:
    """The stable fields of a decision."""
    return {
        "id": item.id,
        "was": item.was,
        "state": item.state,
        "step": item.step,
        "call": item.call,
    }
