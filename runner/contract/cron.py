"""Cron text to the wall times it names. Pure: no clock, no zone; those are `timetable`'s.

    minute hour day-of-month month day-of-week        as crontab(5) writes it

Numbers, `*`, lists, ranges, steps, names of months and weekdays, and `@daily` and its
kin. Sunday is 0 and 7. When both days are restricted, either is enough. What programs that
call themselves cron read in different ways is refused, with the form that all agree on.
"""

import re
from dataclasses import dataclass
from typing import Final

_MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun") + (
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART: Final = re.compile(
    r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d{1,4}))?", re.ASCII
)
_LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_TEXT_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Cron:
    """The wall times of a schedule: a time matches when each of its parts is listed.

    `days` or `weekdays` is None when it does not restrict; when neither is None, one of
    them is enough. Months count from 1, weekdays from Sunday, which is 0.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None

    @property
    def every_hour(self) -> bool:
        """Whether it names no hours, so that it follows the hours as they pass."""
        return len(self.hours) == 24


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def top(self) -> int:
        """The highest value that is not another spelling of the lowest: Sunday is 0 and 7."""
        return min(self.high, 6) if self.names == _DAYS else self.high


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)


def parse(text: str) -> Cron:
    """The schedule that a text means; ValueError says what is wrong with it."""
    parts = _parts(text)
    minutes, hours, days, months, weekdays = (
        _values(field, part) for field, part in zip(_FIELDS, parts, strict=True)
    )
    free, free_weekday = (bool({"*", "*/1"} & {*part.split(",")}) for part in parts[2::2])
    for part, other_free in ((parts[2], free_weekday), (parts[4], free)):
        if "*/" in part and not other_free:
            raise ValueError(
                f"{part} beside another restricted day is read in two ways: as both days at"
                " once by cron, as either by Kubernetes; write the step over a range, as in"
                " 1-31/2, which means either"
            )
    cron = Cron(
        minutes=minutes,
        hours=hours,
        days=None if free else days,
        months=months,
        weekdays=None if free_weekday else frozenset(day % 7 for day in weekdays),
    )
    if cron.weekdays is None and cron.days is not None:
        longest = max(_LONGEST[month - 1] for month in months)
        if min(cron.days) > longest:
            raise ValueError("it never comes: none of its months has such a day")
    return cron


def _parts(text: str) -> list[str]:
    """The five fields; ValueError for all that is no crontab line."""
    line = text.strip().lower()
    if len(line) > _TEXT_MAX:
        raise ValueError(f"a schedule has at most {_TEXT_MAX} characters")
    if line.startswith(("tz=", "cron_tz=")):
        raise ValueError("the zone of a schedule stands in time_zone")
    if line.startswith("@"):
        if line not in _MACROS:
            raise ValueError(f"{line.split()[0]} is none of {', '.join(_MACROS)}")
        line = _MACROS[line]
    parts = line.split()
    if len(parts) != 5:
        raise ValueError(
            f"a schedule has five fields, minute hour day-of-month month day-of-week; this has"
            f" {len(parts)}" + ("; seconds are not supported" if len(parts) == 6 else "")
        )
    return parts


def _values(field: _Field, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        found.update(_range(field, part))
    return frozenset(found)


def _range(field: _Field, part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None or (match["first"] == "*" and match["last"]):
        raise ValueError(f"{field.name}: {part or 'nothing'} is no number, range or step")
    step = int(match["step"] or 1)
    if not 1 <= step <= field.high:
        raise ValueError(f"{field.name}: a step is from 1 to {field.high}, not {step}")
    if match["first"] == "*":
        return range(field.low, field.top + 1, step)
    first = _number(field, match["first"])
    if match["last"]:
        last = _number(field, match["last"])
        if match["last"] == "sun" and first > 0:
            last = 7  # fri-sun: Sunday ends a week as well.
    else:
        # 5/15 means 5-59/15, as it does to Kubernetes.
        last = field.top if match["step"] else first
    if last < first:
        raise ValueError(f"{field.name}: the range {part} ends before it begins")
    return range(first, last + 1, step)


def _number(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdecimal() or not field.low <= int(text[:6]) <= field.high:
        named = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise ValueError(f"{field.name}: {text} is not {field.low} to {field.high}{named}")
    return int(text)
