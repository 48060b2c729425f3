"""A schedule comes due when its zone's clock says so, in every zone, on every day.

The rules are in docs/schedules.md. What the timetable answers is compared with a slow
reference that looks at every minute and knows nothing of cron triggers or of halving.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.contract import cron
from runner.contract.cron import Cron
from runner.contract.timetable import Timetable

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # Half an hour of summer time.
    "Africa/Casablanca",  # Winter time for Ramadan: four changes in some years.
    "Asia/Kolkata",
    "America/Sao_Paulo",  # Until 2019 the gap was at midnight.
    "Pacific/Apia",  # 30 December 2011 is missing.
)
MINUTE = timedelta(minutes=1)


def us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def matches(schedule: Cron, wall: datetime) -> bool:
    weekday = (wall.weekday() + 1) % 7
    days = schedule.days is None or wall.day in schedule.days
    weekdays = schedule.weekdays is None or weekday in schedule.weekdays
    if schedule.days is not None and schedule.weekdays is not None:
        day = wall.day in schedule.days or weekday in schedule.weekdays
    else:
        day = days and weekdays
    return (
        day
        and wall.month in schedule.months
        and wall.hour in schedule.hours
        and wall.minute in schedule.minutes
    )


def reference(schedule: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Every moment in (start, end], found minute by minute."""
    found: list[datetime] = []
    at = (start.astimezone(UTC) - timedelta(days=2)).replace(second=0, microsecond=0)
    seen: set[datetime] = set()
    before = at.astimezone(zone).replace(tzinfo=None, fold=0)
    while at < end:
        at += MINUTE
        wall = at.astimezone(zone).replace(tzinfo=None, fold=0)
        if len(schedule.hours) == 24:
            due = matches(schedule, wall)
        else:
            due = wall not in seen and matches(schedule, wall)
            skipped = before + MINUTE
            while skipped < wall:  # The minutes that the clock jumped over are due now.
                due = due or matches(schedule, skipped)
                skipped += MINUTE
            seen.add(wall)
        before = wall
        if due and start < at <= end:
            found.append(at)
    return found


def timetable_between(table: Timetable, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = table.after(us(start))
    while at is not None and at <= us(end):
        found.append(datetime.fromtimestamp(at / 1_000_000, tz=UTC))
        at = table.after(at)
    return found


def changes(zone: str) -> list[datetime]:
    """The hours, UTC, in which the zone's offset changes, in the years that tests look at."""
    info = ZoneInfo(zone)
    at, found = datetime(2010, 1, 1, tzinfo=UTC), []
    while at.year < 2031:
        following = at + timedelta(hours=1)
        if at.astimezone(info).utcoffset() != following.astimezone(info).utcoffset():
            found.append(following)
        at = following
    return found or [datetime(2026, 3, 29, tzinfo=UTC)]


CHANGES = {zone: changes(zone) for zone in ZONES}

minutes = st.one_of(
    st.just("*"),
    st.integers(1, 59).map(lambda step: f"*/{step}"),
    st.lists(st.integers(0, 59), min_size=1, max_size=3).map(lambda n: ",".join(map(str, n))),
)
hours = st.one_of(
    st.just("*"),
    st.integers(1, 23).map(lambda step: f"*/{step}"),
    st.lists(st.integers(0, 5), min_size=1, max_size=3).map(lambda n: ",".join(map(str, n))),
    st.just("22-23"),
    st.just("0-23"),
)
days = st.sampled_from(["*", "1", "30", "25-31", "1-31/2", "29,30,31"])
months = st.sampled_from(["*", "*/2", "3,10", "12"])
weekdays = st.sampled_from(["*", "0", "7", "sun", "mon-fri", "1,3", "fri-sun", "0-6"])


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, datetime]:
    zone = draw(st.sampled_from(ZONES))
    around = draw(st.sampled_from(CHANGES[zone]))
    shift = draw(st.integers(-36 * 3600, 12 * 3600))
    return zone, around + timedelta(seconds=shift)


@settings(max_examples=150, deadline=None)
@given(
    span=spans(),
    fields=st.tuples(minutes, hours, days, months, weekdays),
)
@example(
    span=("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC)),
    fields=("0,30", "2,3", "*", "*", "*"),
)
@example(
    span=("Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=UTC)),
    fields=("0", "9", "*", "*", "*"),
)
@example(
    span=("Australia/Lord_Howe", datetime(2026, 4, 4, 10, tzinfo=UTC)),
    fields=("*/10", "*", "*", "*", "*"),
)
def test_it_agrees_with_a_look_at_every_minute(
    span: tuple[str, datetime], fields: tuple[str, ...]
) -> None:
    zone, start = span
    text = " ".join(fields)
    end = start + timedelta(hours=60)
    expected = reference(cron.parse(text), ZoneInfo(zone), start, end)
    assert timetable_between(Timetable(text, zone), start, end) == expected


@settings(max_examples=60, deadline=None)
@given(span=spans(), fields=st.tuples(minutes, hours), length=st.integers(0, 3 * 86_400))
def test_the_latest_moment_is_the_last_of_all(
    span: tuple[str, datetime], fields: tuple[str, str], length: int
) -> None:
    zone, start = span
    table = Timetable(" ".join([*fields, "*", "*", "*"]), zone)
    end = start + timedelta(seconds=length)
    found = timetable_between(table, start, end)
    assert table.latest(us(start), us(end)) == (us(found[-1]) if found else None)
    inside = [at for at in found if at < end]
    assert table.count(us(start), us(end), 100) == min(len(inside), 100)


@pytest.mark.parametrize(
    ("schedule", "zone", "day", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29", ["03:00+0200"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", ["02:30+0200"]),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-29", ["03:00+0200"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-29", ["03:00+0200"]),
        ("30 2 * * *", "America/New_York", "2026-03-08", ["03:00-0400"]),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["01:30-0400"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["02:30+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", ["01:45+1100"]),
        ("30 0 * * *", "America/Sao_Paulo", "2018-11-04", ["01:00-0200"]),
        ("30 2 * * *", "Africa/Casablanca", "2026-02-15", ["02:30+0100"]),
    ],
)
def test_a_time_that_is_missing_or_doubled_comes_once(
    schedule: str, zone: str, day: str, expected: list[str]
) -> None:
    assert on(schedule, zone, day) == expected


@pytest.mark.parametrize(
    ("schedule", "zone", "day", "count"),
    [
        ("*/15 * * * *", "Europe/Berlin", "2026-03-29", 23 * 4),
        ("*/15 * * * *", "Europe/Berlin", "2026-10-25", 25 * 4),
        ("30 * * * *", "Europe/Berlin", "2026-10-25", 25),
        ("30 0-23 * * *", "Europe/Berlin", "2026-03-29", 23),
        ("*/30 * * * *", "Australia/Lord_Howe", "2026-10-04", 47),
        ("*/30 * * * *", "Australia/Lord_Howe", "2026-04-05", 49),
        ("* * * * *", "Asia/Kolkata", "2026-10-25", 1440),
    ],
)
def test_what_runs_every_hour_follows_the_hours_as_they_pass(
    schedule: str, zone: str, day: str, count: int
) -> None:
    assert len(on(schedule, zone, day)) == count


def on(schedule: str, zone: str, day: str) -> list[str]:
    """The wall times of a day's moments, each with its offset."""
    info = ZoneInfo(zone)
    first = datetime.fromisoformat(day).replace(tzinfo=info).astimezone(UTC)
    last = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=info)
    found = timetable_between(
        Timetable(schedule, zone),
        first - timedelta(seconds=1),
        last.astimezone(UTC) - timedelta(seconds=1),
    )
    return [at.astimezone(info).strftime("%H:%M%z") for at in found]


def test_a_leap_day_is_found_years_ahead() -> None:
    table = Timetable("0 0 29 2 *", "UTC")
    assert table.after(us(datetime(2096, 3, 1, tzinfo=UTC))) == us(
        datetime(2104, 2, 29, tzinfo=UTC)
    )


def test_a_long_silence_is_looked_through_without_counting_every_minute() -> None:
    table = Timetable("* * * * *", "Europe/Berlin")
    start, end = datetime(2016, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    assert table.latest(us(start), us(end)) == us(datetime(2026, 1, 1, tzinfo=UTC))
    assert table.count(us(start), us(end), 1_000) == 1_000


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "localtime", "America"])
def test_a_zone_that_nobody_knows_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        Timetable("* * * * *", zone)
