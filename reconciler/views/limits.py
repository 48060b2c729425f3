"""Limits as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from reconciler.views.table import number, paragraphs, table, word
from reconciler.views.times import iso, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStatus:
    """A limit, how full it is now, who waits for it, and its worst window in the log."""

    dimension: str
    scope: str
    bound: int
    used: int
    waiting: int
    next_due_us: int | None
    rule: str
    worst: int | None
    worst_bound: int | None
    worst_at_us: int | None
    overruns: int
    holds: bool


def limit_list(found: Sequence[LimitStatus]) -> Text:
    """The list of limits; costs are in millionths of the currency."""
    if not found:
        return Text("No limits. `governance` of an Agent sets them.")
    headers = ("LIMIT", "OF", "BOUND", "NOW", "WAITING", "NEXT (UTC)", "WORST", "IN THE LOG")
    rows = [
        (
            one.dimension,
            one.scope,
            number(one.bound),
            number(one.used),
            number(one.waiting),
            moment(one.next_due_us),
            "-"
            if one.worst is None
            else f"{number(one.worst)} of {number(one.worst_bound or 0)}",
            word("holds" if one.holds else "exceeded"),
        )
        for one in found
    ]
    return paragraphs(table(headers, rows))


def limit_json(one: LimitStatus) -> Mapping[str, Any]:
    """The stable fields of a limit."""
    return {
        "limit": one.dimension,
        "of": one.scope,
        "bound": one.bound,
        "used": one.used,
        "waiting": one.waiting,
        "next": iso(one.next_due_us),
        "rule": one.rule,
        "worst": one.worst,
        "worst_bound": one.worst_bound,
        "worst_at": iso(one.worst_at_us),
        "overruns": one.overruns,
        "holds": one.holds,
    }
