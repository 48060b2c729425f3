"""A cron text means what crontab(5) says, or is refused with what to write instead."""

import re

import pytest

from runner.contract import cron


@pytest.mark.parametrize(
    ("text", "weekdays"),
    [
        ("0 9 * * 0", {0}),
        ("0 9 * * 7", {0}),
        ("0 9 * * SUN", {0}),
        ("0 9 * * 1", {1}),
        ("0 9 * * mon-fri", {1, 2, 3, 4, 5}),
        ("0 9 * * 5-7", {0, 5, 6}),
        ("0 9 * * fri-sun", {0, 5, 6}),
        ("0 9 * * */2", {0, 2, 4, 6}),
        ("0 9 * * 1/2", {1, 3, 5}),
        ("0 9 * * *", None),
    ],
)
def test_weekdays_count_from_sunday(text: str, weekdays: set[int] | None) -> None:
    assert cron.parse(text).weekdays == weekdays


def test_a_field_is_a_list_of_numbers_ranges_and_steps() -> None:
    found = cron.parse("5,10-12,*/30 8-18/5 1/10 jan,MAR-apr *")
    assert found.minutes == {0, 5, 10, 11, 12, 30}
    assert found.hours == {8, 13, 18}
    assert found.days == {1, 11, 21, 31}
    assert found.months == {1, 3, 4}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("@daily", "0 0 * * *"),
        ("@Weekly", "0 0 * * 0"),
        ("@hourly", "0 * * * *"),
        ("@annually", "0 0 1 1 *"),
        ("  0   9 * * 1 ", "0 9 * * 1"),
    ],
)
def test_other_spellings_mean_the_same(text: str, same: str) -> None:
    assert cron.parse(text) == cron.parse(same)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has 0"),
        ("* * * *", "has 4"),
        ("0 0 9 * * 1", "seconds are not supported"),
        ("60 * * * *", "minute: 60 is not 0 to 59"),
        ("* 24 * * *", "hour: 24 is not 0 to 23"),
        ("* * 0 * *", "day of month: 0 is not 1 to 31"),
        ("* * * 13 *", "month: 13 is not 1 to 12, or jan to dec"),
        ("* * * * 8", "day of week: 8 is not 0 to 7, or sun to sat"),
        ("*/0 * * * *", "a step is from 1 to 59"),
        ("5-1 * * * *", "ends before it begins"),
        ("1,,2 * * * *", "nothing is no number"),
        ("*-5 * * * *", "is no number, range or step"),
        ("* * L * *", "l is not 1 to 31"),
        ("* * * * 5#2", "is no number, range or step"),
        ("? * * * *", "is no number, range or step"),
        ("@reboot", "is none of"),
        ("@every 5m", "@every is none of"),
        ("CRON_TZ=UTC 0 9 * * *", "stands in time_zone"),
        ("0 0 30 2 *", "it never comes"),
        ("0 0 31 4,6,9,11 *", "it never comes"),
        ("0 0 */2 * 1", "read in two ways"),
        ("0 0 1 * */2", "read in two ways"),
        ("* " * 1_000, "at most 1000 characters"),
        ("٣ * * * *", "is no number"),
        ("9" * 900 + " * * * *", "is not 0 to 59"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        cron.parse(text)


def test_a_leap_day_comes_and_either_day_is_enough() -> None:
    assert cron.parse("0 0 29 2 *").days == {29}
    assert cron.parse("0 0 31 2 1").weekdays == {1}
    assert cron.parse("0 0 13 * 0-6").weekdays == set(range(7))
