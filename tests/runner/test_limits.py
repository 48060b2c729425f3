"""No window of a limit ever holds more than the limit, whatever is asked, settled or lost.

The arithmetic alone: what fits, how much an answer may be, when there is room again.
"""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.limit.limits import (
    DAY_US,
    MINUTE_US,
    Ask,
    Dimension,
    Limit,
    Sized,
    TooLarge,
    admits,
    fallback_wait_us,
    free_at,
    size,
)
from runner.limit.worst_window import Use, worst

TOKENS = Dimension.TOKENS_PER_MINUTE


def tokens(bound: int, dimension: Dimension = TOKENS) -> Limit:
    return Limit(dimension, "default/clerk", bound, "agents/clerk.yaml:7")


def cost(bound: int, per_input: str, per_output: str) -> Limit:
    price = (Decimal(per_input), Decimal(per_output))
    return Limit(Dimension.COST_PER_DAY, "default/clerk", bound, "agents/clerk.yaml:8", *price)


@pytest.mark.parametrize(
    ("ask", "rooms", "expected"),
    [
        (Ask(100, 40, 500), [(tokens(8000), 8000)], Sized(100, 500, False)),
        (Ask(100, 40, 4096), [(tokens(1000), 1000)], Sized(100, 900, False)),
        (Ask(990, 400, 4096), [(tokens(1000), 1000)], Sized(400, 600, True)),
        (Ask(100, 40, 10), [(tokens(110), 110)], Sized(100, 10, False)),
        (Ask(0, 0, 0), [(tokens(1), 1)], Sized(0, 0, False)),
        (Ask(10, 10, 100), [(tokens(500), 500), (tokens(500), 40)], Sized(10, 30, False)),
        (Ask(10, 10, 100), [(cost(100, "2", "4"), 100)], Sized(10, 20, False)),
        (Ask(10, 10, 100), [(cost(20, "2", "0"), 20)], Sized(10, 100, False)),
    ],
    ids=[
        "all of it fits",
        "the answer is cut to the limit",
        "an input that fits only as it likely is",
        "a short answer that is known",
        "nothing at all",
        "the smaller of two rooms",
        "a cost cuts the answer",
        "an answer that costs nothing",
    ],
)
def test_a_call_sets_aside_no_more_than_its_limits_leave(
    ask: Ask, rooms: list[tuple[Limit, int]], expected: Sized
) -> None:
    assert size(ask, rooms) == expected


def test_what_never_fits_is_said_with_limit_need_and_line() -> None:
    found = size(Ask(9000, 3000, 500), [(tokens(2000), 2000)])
    assert isinstance(found, TooLarge)
    for word in ("3016 tokens", "maxTokensPerMinute", "agents/clerk.yaml:7", "is 2000"):
        assert word in str(found)


def test_what_a_run_has_used_is_said_when_the_rest_is_too_little() -> None:
    limit = tokens(1000, Dimension.TOKENS_PER_RUN)
    found = size(Ask(200, 200, 50), [(limit, 100)])
    assert "of which 900 are used" in str(found)


@pytest.mark.parametrize(
    ("price", "used", "micro"),
    [(("3", "15"), (1000, 100), 4500), (("0.1", "0.1"), (1, 0), 1), (("0", "0"), (9, 9), 0)],
    ids=["whole", "rounded up", "free"],
)
def test_a_cost_is_counted_in_millionths_and_rounded_up(
    price: tuple[str, str], used: tuple[int, int], micro: int
) -> None:
    assert cost(1, *price).amount(*used) == micro


def test_a_call_fits_up_to_the_limit_and_not_beyond() -> None:
    assert admits(100, 60, 10, 30)
    assert not admits(100, 60, 10, 31)


@pytest.mark.parametrize(
    ("open_amount", "settled", "need", "expected"),
    [
        (0, [(5, 60), (9, 40)], 50, 5 + MINUTE_US + 1),
        (0, [(9, 40), (5, 60)], 70, 9 + MINUTE_US + 1),
        (60, [(5, 40)], 50, None),
        (40, [(5, 60)], 60, 5 + MINUTE_US + 1),
    ],
    ids=["after the first", "after the second", "not before what is open", "beside the open"],
)
def test_room_comes_when_enough_has_left_the_window(
    open_amount: int, settled: list[tuple[int, int]], need: int, expected: int | None
) -> None:
    assert free_at((TOKENS, 100), open_amount, settled, need) == expected


def test_who_waits_behind_many_looks_again_later_than_who_waits_behind_few() -> None:
    assert fallback_wait_us(100, 0, 100) == MINUTE_US
    assert fallback_wait_us(100, 950, 50) == 10 * MINUTE_US


@dataclass
class Book:
    """Calls under one limit, admitted as `limits` says, on a clock that does not go back."""

    bound: int
    window_us: int
    now_us: int = 1_000_000
    uses: list[Use] = field(default_factory=list)
    refused: int = 0

    def counted(self) -> int:
        return sum(
            use.amount
            for use in self.uses
            if use.settled_us is None or use.settled_us >= self.now_us - self.window_us
        )

    def ask(self, amount: int) -> None:
        if admits(self.bound, self.counted(), 0, amount):
            self.uses.append(Use(self.now_us, amount, self.bound))
        else:
            self.refused += 1

    def settle(self, which: int, share: int) -> None:
        still = [use for use in self.uses if use.settled_us is None]
        if still:
            use = still[which % len(still)]
            use.settled_us = self.now_us
            use.amount = use.amount * share // 100


STEP = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 120), st.just(0)),
    # 100 is a crash, or a provider that counts nothing: charged as reserved.
    st.tuples(st.just("settle"), st.integers(0, 9), st.sampled_from([0, 1, 50, 99, 100])),
    st.tuples(
        st.just("pass"), st.sampled_from([1, 999_999, 30_000_000, MINUTE_US]), st.just(0)
    ),
    st.tuples(st.just("pass"), st.sampled_from([MINUTE_US - 1, MINUTE_US + 1, -5]), st.just(0)),
)


@given(steps=st.lists(STEP, max_size=60), day=st.booleans())
def test_no_window_is_ever_over_the_limit(steps: list[tuple[str, int, int]], day: bool) -> None:
    dimension = Dimension.COST_PER_DAY if day else TOKENS
    book = Book(100, DAY_US if day else MINUTE_US)
    for what, number, share in steps:
        if what == "ask":
            book.ask(number)
        elif what == "settle":
            book.settle(number, share)
        else:  # A clock that is set back stands still, as `moment` makes it.
            book.now_us += max(0, number)
    if book.uses:
        found = worst(dimension, "default/clerk", book.uses)
        assert found.holds, found
        assert found.used <= 100


@given(
    amounts=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    lengths=st.lists(st.integers(0, 20_000_000), min_size=30, max_size=30),
)
def test_whoever_waits_until_there_is_room_gets_it(
    amounts: list[int], lengths: list[int]
) -> None:
    book = Book(100, MINUTE_US)
    for amount, length in zip(amounts, lengths, strict=False):
        while not admits(100, book.counted(), 0, amount):
            settled = [(use.settled_us, use.amount) for use in book.uses]
            until = free_at((TOKENS, 100), 0, settled, amount)  # type: ignore[arg-type]
            assert until is not None
            assert until > book.now_us, "it would look again and again in one moment"
            book.now_us = until
        book.ask(amount)
        book.now_us += length
        book.settle(0, 100)
    assert book.refused == 0
    assert worst(TOKENS, "default/clerk", book.uses).holds


def test_a_window_over_the_limit_is_found_in_either_attribution() -> None:
    by_reservation = [Use(0, 60, 100, 0), Use(MINUTE_US, 60, 100, 10**9)]
    by_settlement = [Use(0, 60, 100, 10**9), Use(10 * MINUTE_US, 60, 100, 10**9 + MINUTE_US)]
    apart = [Use(0, 60, 100, 0), Use(MINUTE_US + 1, 60, 100, MINUTE_US + 1)]
    assert not worst(TOKENS, "a", by_reservation).holds
    assert not worst(TOKENS, "a", by_settlement).holds
    assert worst(TOKENS, "a", apart).holds


def test_places_are_counted_at_once() -> None:
    places = Dimension.CONCURRENT_TASKS
    assert worst(places, "a", [Use(0, 1, 1, 5), Use(5, 1, 1, 9)]).holds
    found = worst(places, "a", [Use(0, 1, 1, 5), Use(4, 1, 1, 9)])
    assert (found.used, found.holds) == (2, False)
