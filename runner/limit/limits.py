"""Whether a call has room under its limits. Pure: what is counted and the time are arguments.

A call sets an amount aside before it is made, and is settled when it is over:

    reserved at a, amount e  ──────>  settled at s, amount u
    counts e from a on                counts u until a window (60 s, or 24 h) after s

A call is admitted at `a` only if all that counts at `a`, and its own amount, is at most the
limit. Promise: of calls that use no more than they set aside (u <= e), take any window of
that length, both ends included, and any moment of each call between its reservation and its
settlement: that is when it was reserved, when it was settled, or when the model saw it. The
calls whose moment lies in the window use at most the limit together.

Proof. Let the window end at t, and let the call that was reserved last of all in it be
admitted at `a`; its moment is not before `a`, so a <= t. Any other call of the window was
reserved before `a`. At `a` it was open, and counted e >= u; or it had been settled at s. Its
moment is not after s and not before t - window, so s >= t - window >= a - window: it still
counted u. So all of them counted at least what they use when the last one was admitted, and
that admission kept the sum at the limit. QED

It needs one order of all reservations, which the transaction that makes them gives, and a
clock that does not go back, which `reservations` sees to. A call that uses more than it set
aside is counted in full for its window, is logged, and keeps others out until it has passed.

Whoever waits has its place: a call is admitted only if those before it would still fit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Final

OUTPUT_MIN: Final = 16
"""An answer that must be shorter is not asked for."""
OUTPUT_DEFAULT: Final = 4_096
MINUTE_US: Final = 60_000_000
DAY_US: Final = 86_400_000_000
WAIT_MAX_US: Final = MINUTE_US
"""Who waits for what nobody can foresee looks again after so long, if nobody wakes it."""


class Dimension(StrEnum):
    """What a limit counts."""

    TOKENS_PER_MINUTE = "tokens_per_minute"
    TOKENS_PER_RUN = "tokens_per_run"
    COST_PER_DAY = "cost_per_day"
    """In millionths of the currency."""
    CALLS_PER_MINUTE = "calls_per_minute"
    CONCURRENT_TASKS = "concurrent_tasks"

    @property
    def window_us(self) -> int | None:
        """How long what is settled still counts; None: as long as its task runs."""
        return _WINDOWS.get(self)

    @property
    def field(self) -> str:
        """The field of the manifest that sets it."""
        return _FIELDS[self]


_WINDOWS: Final = {
    Dimension.TOKENS_PER_MINUTE: MINUTE_US,
    Dimension.CALLS_PER_MINUTE: MINUTE_US,
    Dimension.COST_PER_DAY: DAY_US,
    # A place is free as soon as it is given back.
    Dimension.CONCURRENT_TASKS: 0,
}
_FIELDS: Final = {
    Dimension.TOKENS_PER_MINUTE: "maxTokensPerMinute",
    Dimension.TOKENS_PER_RUN: "maxTokensPerRun",
    Dimension.COST_PER_DAY: "maxCostPerDay",
    Dimension.CALLS_PER_MINUTE: "max_calls_per_minute",
    Dimension.CONCURRENT_TASKS: "maxConcurrent",
}
_UNITS: Final = {
    Dimension.COST_PER_DAY: "millionths of the currency",
    Dimension.CALLS_PER_MINUTE: "calls",
    Dimension.CONCURRENT_TASKS: "tasks",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that a call falls under: whose, how much, and the `path:line` that says so.

    `scope` is what it is counted for: an agent, a tool or a task. A token counts `per_input`
    or `per_output`, which are prices where the limit is one of cost.
    """

    dimension: Dimension
    scope: str
    bound: int
    rule: str
    per_input: Decimal = Decimal(1)
    per_output: Decimal = Decimal(1)

    def amount(self, tokens_in: int, tokens_out: int) -> int:
        """What so many tokens count under this limit, rounded up."""
        exact = tokens_in * self.per_input + tokens_out * self.per_output
        return int(exact.to_integral_value(ROUND_CEILING))

    def output_room(self, room: int, tokens_in: int) -> int | None:
        """The longest answer that fits beside an input; None: any, negative: none."""
        left = room - tokens_in * self.per_input
        if left < 0:
            return -1
        if not self.per_output:
            return None
        return int((left / self.per_output).to_integral_value(ROUND_FLOOR))

    @property
    def unit(self) -> str:
        """What its amounts are called."""
        return _UNITS.get(self.dimension, "tokens")

    def __str__(self) -> str:
        return f"{self.dimension.field} of {self.scope} ({self.rule})"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a model call may take: at most, and likely, of input; and the answer wanted."""

    input_max: int
    input_likely: int
    output: int


@dataclass(frozen=True, slots=True)
class Sized:
    """What is set aside for a call. `estimated`: its input may turn out larger."""

    input: int
    output: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A call that never fits: under which limit, how much it needs, and what there is."""

    limit: Limit
    need: int
    room: int

    def __str__(self) -> str:
        limit, spent = self.limit, self.limit.bound - self.room
        used = f", of which {spent} are used" if spent else ""
        return (
            f"the call needs at least {self.need} {limit.unit} and {limit} is {limit.bound}"
            f"{used}; waiting does not help: raise the limit, or make what is sent smaller"
        )


def size(ask: Ask, rooms: Sequence[tuple[Limit, int]]) -> Sized | TooLarge:
    """How much to set aside so that the call fits into rooms that are empty but for it.

    The answer is cut to what is left. An input whose upper bound fits nowhere is taken at
    what it likely is.
    """
    enough = min(OUTPUT_MIN, ask.output)
    for tokens_in, estimated in ((ask.input_max, False), (ask.input_likely, True)):
        left = [limit.output_room(room, tokens_in) for limit, room in rooms]
        output = min([ask.output, *(one for one in left if one is not None)])
        if output >= enough:
            return Sized(tokens_in, output, estimated)
    for limit, room in rooms:
        need = limit.amount(ask.input_likely, enough)
        if need > room:
            return TooLarge(limit, need, room)
    raise AssertionError("a call that fits under no limit fits under each")


def admits(bound: int, counted: int, ahead: int, amount: int) -> bool:
    """Whether an amount fits beside what counts and what is kept for those who wait."""
    return counted + ahead + amount <= bound


def free_at(
    limit: tuple[Dimension, int],
    open_amount: int,
    settled: Iterable[tuple[int, int]],
    need: int,
) -> int | None:
    """When an amount fits, if what is open stays; None when that depends on the open.

    `limit` is its dimension and bound, `settled` are moments and amounts.
    """
    dimension, bound = limit
    known = sorted(settled)
    free = bound - open_amount - sum(amount for _, amount in known)
    if dimension.window_us is None:
        return None
    for at, amount in known:
        free += amount
        if free >= need:
            return at + dimension.window_us + 1
    return None


def fallback_wait_us(bound: int, ahead: int, amount: int) -> int:
    """How long who is not next waits before it looks by itself: as if nobody were quicker."""
    return WAIT_MAX_US * (1 + (ahead + amount - 1) // bound)
