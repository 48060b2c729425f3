"""Entries of a memory as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from reconciler.views.table import number, short, table
from reconciler.views.times import iso, moment
from runner.memory import Entry, Hit


def entry_list(found: Sequence[Entry]) -> Text:
    """The entries, one a line; a long value is cut."""
    if not found:
        return Text("Nothing is kept there.")
    rows = [
        (one.key, moment(one.written_us or None), one.agent or "-", short(one.value))
        for one in found
    ]
    return table(("KEY", "WRITTEN (UTC)", "BY", "VALUE"), rows)


def entry_json(one: Entry) -> dict[str, Any]:
    """`{key, value, task, agent, written_at}`; what a store does not know is null."""
    return {
        "key": one.key,
        "value": one.value,
        "task": one.task or None,
        "agent": one.agent or None,
        "written_at": iso(one.written_us) if one.written_us else None,
    }


def hit_list(found: Sequence[Hit]) -> Text:
    """What was found, best first."""
    if not found:
        return Text("Nothing like it is kept there.")
    rows = [(f"{one.score:.3f}", one.key, short(one.value)) for one in found]
    return table(("SCORE", "KEY", "VALUE"), rows)


def hit_json(one: Hit) -> dict[str, Any]:
    """`{key, value, score}`."""
    return {"key": one.key, "value": one.value, "score": one.score}


def counted(count: int) -> str:
    """`1 entry`, `3 entries`."""
    return f"{number(count)} {'entry' if count == 1 else 'entries'}"
