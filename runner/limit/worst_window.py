"""The worst window of each limit, recomputed from the audit log and nothing else. Pure.

Entries `tokens.reserved` and `tokens.settled` say what every call set aside and used, and
when. A call counts with its use, or with what it set aside while it is open; it is attributed
to its reservation, and then again to its settlement (`limits` proves that both must hold).

For a place among an agent's tasks the window is the moment: as many as were held at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runner.limit.limits import Dimension

RESERVED: Final = "tokens.reserved"
SETTLED: Final = "tokens.settled"
_Call = tuple[str, int, int]


@dataclass(slots=True)
class Use:
    """What one call counts under one limit."""

    reserved_us: int
    amount: int
    bound: int
    settled_us: int | None = None
    overrun: int = 0
    """How much more it used than it had set aside."""


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst window of a limit. `at_us` is its end, `bound` the limit then in force."""

    dimension: Dimension
    scope: str
    used: int
    bound: int
    at_us: int
    calls: int
    overruns: int
    holds: bool
    """No window was over its limit, but for what calls used beyond what they had set aside."""


@dataclass(slots=True)
class _Limit:
    uses: list[Use] = field(default_factory=list)
    open: dict[_Call, Use] = field(default_factory=dict)


def worst_windows(entries: Iterable[Mapping[str, Any]]) -> list[Worst]:
    """The worst window of every limit that entries speak of, in the order of the log."""
    limits: dict[tuple[Dimension, str], _Limit] = {}
    for entry in entries:
        if entry["type"] not in (RESERVED, SETTLED):
            continue
        call = (entry["task"], entry["attempt"], entry["step"])
        for name, scope, amount, bound in entry["charges"]:
            limit = limits.setdefault((Dimension(name), scope), _Limit())
            if entry["type"] == RESERVED:
                limit.open[call] = Use(entry["at"], amount, bound)
                limit.uses.append(limit.open[call])
            elif (use := limit.open.pop(call, None)) is not None:
                use.settled_us = entry["at"]
                use.overrun = max(0, amount - use.amount)
                use.amount = amount
    return [worst(dimension, scope, limit.uses) for (dimension, scope), limit in limits.items()]


def worst(dimension: Dimension, scope: str, uses: list[Use]) -> Worst:
    """The window in which most of the limit was used, both attributions looked at."""
    if dimension is Dimension.CONCURRENT_TASKS:
        found = _at_once(uses)
    else:
        window_us = dimension.window_us
        settled = [(use.settled_us, use) for use in uses if use.settled_us is not None]
        found = _slide([(use.reserved_us, use) for use in uses], window_us)
        found += _slide(sorted(settled, key=lambda one: one[0]), window_us)
    used, at_us, bound, _ = max(found, key=lambda one: one[0] - one[2])
    return Worst(
        dimension,
        scope,
        used,
        bound,
        at_us,
        calls=len(uses),
        overruns=sum(use.overrun > 0 for use in uses),
        holds=all(used - over <= bound for used, _, bound, over in found),
    )


_Window = tuple[int, int, int, int]
"""What was used, when the window ends, the limit then, and what of it nobody had foreseen."""


def _slide(moments: list[tuple[int, Use]], window_us: int | None) -> list[_Window]:
    """Every window that ends with a call, both ends included."""
    found: list[_Window] = []
    used = over = first = 0
    for at_us, use in moments:
        used += use.amount
        over += use.overrun
        while window_us is not None and moments[first][0] < at_us - window_us:
            used -= moments[first][1].amount
            over -= moments[first][1].overrun
            first += 1
        found.append((used, at_us, use.bound, over))
    return found


def _at_once(uses: list[Use]) -> list[_Window]:
    changes = [(use.reserved_us, 1, use) for use in uses]
    changes += [(use.settled_us, 0, use) for use in uses if use.settled_us is not None]
    found: list[_Window] = []
    held = 0
    # What is given back in a moment is free in it.
    for at_us, taken, use in sorted(changes, key=lambda one: one[:2]):
        held += use.amount if taken else -use.amount
        found.append((held, at_us, use.bound, 0))
    return found
