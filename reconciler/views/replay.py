"""The calls of the past under a plan, as people read it and as JSON. Pure."""

from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.problems import counted
from reconciler.views.table import number, paragraphs
from reconciler.views.times import iso, moment
from runner.governance.replay import Difference, Replayed
from runner.governance.verdict import Decision

SHOWN_MAX: Final = 20
_WORDS: Final = {
    Decision.DENY: ("denied", "red"),
    Decision.ASK: ("approval", "yellow"),
    Decision.ALLOW: ("allowed", "green"),
}


def replay_words(replayed: Replayed) -> Text:
    """The counts in a sentence, then what would go another way and why."""
    lines = [Text(f"Replay: {summary(replayed)}", "bold")]
    shown = replayed.differences[:SHOWN_MAX]
    lines += [line for item in shown for line in _difference(item)]
    if hidden := len(replayed.differences) - len(shown):
        lines.append(Text(f"  … and {number(hidden)} more; --json lists all", "dim"))
    return paragraphs(*lines)


def summary(replayed: Replayed) -> str:
    """`47 of 3 112 calls since … would now be denied (12 would need approval; 3 allowed)`."""
    newest = "the newest " if replayed.bounded else ""
    calls = f"{newest}{counted(replayed.calls, 'call')}"
    if not replayed.differences:
        return f"{calls} since {moment(replayed.since_us)} would go as they went."
    return (
        f"{number(replayed.count(Decision.DENY))} of {calls} since"
        f" {moment(replayed.since_us)} would now be denied"
        f" ({number(replayed.count(Decision.ASK))} would now need approval;"
        f" {number(replayed.count(Decision.ALLOW))} would now be allowed)."
    )


def replay_json(replayed: Replayed) -> dict[str, Any]:
    """The same for machines; the fields are promises."""
    return {
        "since": iso(replayed.since_us),
        "calls": replayed.calls,
        "bounded": replayed.bounded,
        "denied": replayed.count(Decision.DENY),
        "approval": replayed.count(Decision.ASK),
        "allowed": replayed.count(Decision.ALLOW),
        "differences": [
            {
                "decision": _WORDS[item.decision][0],
                "agent": item.agent,
                "tool": item.tool,
                "reason": item.reason,
                "rule": item.rule or None,
                "calls": item.calls,
                "tasks": list(item.tasks),
            }
            for item in replayed.differences
        ],
    }


def _difference(item: Difference) -> list[Text]:
    word, style = _WORDS[item.decision]
    tasks = ", ".join(item.tasks)
    return [
        Text.assemble(
            f"  {number(item.calls):>5}  ",
            (f"{word:<9}", style),
            f"{plain(item.agent)}  {plain(item.tool)}",
        ),
        Text.assemble(" " * 9, (plain(item.reason), "dim"), (f"  {plain(item.rule)}", "cyan")),
        Text(f"{' ' * 9}{tasks}", "dim"),
    ]
