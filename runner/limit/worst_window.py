"""The worst window of each limit, recomputed from the audit log and nothing else. Pure.

Entries `tokens.reserved` and `tokens.settled` say what every call set aside and used, and
when. A call counts with its use, or with what it set aside while it is open; it is attributed
to its reservation, and then again to its settlement (`limits` proves that both must hold).

For a place among an agent's tasks the window is the moment: as many as were held at once.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    settled = [use for use in uses if use.settled_us is not None]
    settled.sort(key=_settled_us)
    return worst_of(dimension, scope, uses, settled)


def worst_of(
    dimension: Dimension, scope: str, reserved: Iterable[Use], settled: Iterable[Use]
) -> Worst:
    """The same of uses in the order of their reservations, and of their settlements.

    Holds no more of them in memory than one window has. There is at least one.
    """
    calls = overruns = 0
    holds, worst = True, None
    for used, at_us, bound, over, use in _windows(dimension, reserved, settled):
        if use is not None:
            calls += 1
            overruns += use.overrun > 0
        holds = holds and used - over <= bound
        if worst is None or used - bound > worst[0] - worst[2]:
            worst = (used, at_us, bound)
    assert worst is not None, "a limit that nothing counts under has no window"
    used, at_us, bound = worst
    return Worst(dimension, scope, used, bound, at_us, calls, overruns, holds)


_Window = tuple[int, int, int, int, Use | None]
"""What was used, when the window ends, the limit then, what of it nobody had foreseen, and
the use whose reservation ends it."""


def _windows(
    dimension: Dimension, reserved: Iterable[Use], settled: Iterable[Use]
) -> Iterator[_Window]:
    if dimension is Dimension.CONCURRENT_TASKS:
        yield from _at_once(reserved, settled)
        return
    window_us = dimension.window_us
    yield from _slide(reserved, window_us, _reserved_us)
    for used, at_us, bound, over, _ in _slide(settled, window_us, _settled_us):
        yield used, at_us, bound, over, None


def _slide(
    uses: Iterable[Use], window_us: int | None, moment: Callable[[Use], int]
) -> Iterator[_Window]:
    """Every window that ends with a call, both ends included."""
    inside: deque[Use] = deque()
    used = over = 0
    for use in uses:
        at_us = moment(use)
        used += use.amount
        over += use.overrun
        if window_us is not None:
            inside.append(use)
            while moment(inside[0]) < at_us - window_us:
                first = inside.popleft()
                used -= first.amount
                over -= first.overrun
        yield used, at_us, use.bound, over, use


def _at_once(reserved: Iterable[Use], settled: Iterable[Use]) -> Iterator[_Window]:
    taken = ((_reserved_us(use), 1, use) for use in reserved)
    given = ((_settled_us(use), 0, use) for use in settled)
    held = 0
    # What is given back in a moment is free in it.
    for at_us, more, use in heapq.merge(taken, given, key=lambda one: one[:2]):
        held += use.amount if more else -use.amount
        yield held, at_us, use.bound, 0, use if more else None


def _reserved_us(use: Use) -> int:
    return use.reserved_us


def _settled_us(use: Use) -> int:
    assert use.settled_us is not None
    return use.settled_us
