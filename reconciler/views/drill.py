"""What a drill found, as words. Pure. It shows the fields of the command's JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from reconciler.views.table import Cell, paragraphs, short, table, word

Fields = Mapping[str, Any]


def outcomes(found: Sequence[Fields]) -> Text:
    """The faults with what came of each, and what that means."""
    headers = ("FAULT", "TRIED", "DECISION", "CALLED", "HELD", "TASK", "SECONDS")
    return paragraphs(table(headers, [_row(one) for one in found]), Text(), _meaning(found))


def _row(one: Fields) -> list[Cell]:
    error = f": {short(one['error'], 48)}" if one["error"] else ""
    return [
        one["fault"],
        one["tried"],
        word(one["decision"]),
        "yes" if one["called"] else "no",
        Text("yes", style="green") if one["held"] else Text("NO", style="bold red"),
        f"{one['task']}{error}",
        f"{one['duration_us'] / 1_000_000:.1f}",
    ]


def _meaning(found: Sequence[Fields]) -> Text:
    failed = [one["fault"] for one in found if not one["held"]]
    if not failed:
        count = len(found) - 1
        return Text(f"Nothing was called under {count} of {count} faults.")
    if failed[0] == "none":
        return Text(
            "Without any fault the call was not made: the drill shows nothing.",
            style="bold red",
        )
    unmet = [one["fault"] for one in found if not one["met"]]
    why = f" The runner did not meet in time: {', '.join(unmet)}." if unmet else ""
    return Text(f"NOT HELD: {', '.join(failed)}.{why}", style="bold red")
