"""Ids sort by the time they were made, and times print as UTC."""

import re

import pytest

from runner.contract import clock


def test_ids_are_ulids_and_differ() -> None:
    ids = [clock.new_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert all(re.fullmatch("[0-7][0-9a-hjkmnp-tv-z]{25}", one) for one in ids)


def test_an_id_begins_with_the_milliseconds_it_was_made_in() -> None:
    before = clock.now_us() // 1_000
    made = clock.new_id()
    after = clock.now_us() // 1_000
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    milliseconds = 0
    for character in made[:10]:
        milliseconds = milliseconds * 32 + alphabet.index(character)
    assert before <= milliseconds <= after


@pytest.mark.parametrize(
    ("at_us", "text"),
    [
        pytest.param(0, "1970-01-01T00:00:00.000000Z", id="start"),
        pytest.param(1_795_402_800_123_456, "2026-11-23T03:00:00.123456Z", id="seed"),
        pytest.param(1_795_402_800_999_999, "2026-11-23T03:00:00.999999Z", id="no-rounding"),
    ],
)
def test_times_print_as_utc_to_the_microsecond(at_us: int, text: str) -> None:
    assert clock.iso(at_us) == text


def test_the_boot_clock_does_not_go_back_and_the_boot_keeps_its_name() -> None:
    first = clock.boot_us()
    assert clock.boot_us() >= first > 0
    assert clock.boot_id() == clock.boot_id()
