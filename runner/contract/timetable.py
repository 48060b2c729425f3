"""When a schedule comes due in a time zone, daylight saving time included (docs/schedules.md).

    hours named (30 2 * * *)      each wall time once a day: in a gap right after it, and of
                                  two that look the same the first
    every hour (*/15 * * * *)     whenever the zone's clock shows such a time, so that it
                                  follows the hours as they pass

Instants are microseconds, UTC. Nothing here reads the clock. What a zone is stands in the
host's zone database.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from runner.contract import cron, zones
from runner.contract.timers import Calendar

_SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_STRIDE: Final = timedelta(hours=12)
"""No zone changes its offset twice within so short a time."""


class Timetable:
    """The moments of one schedule in one zone. ValueError when either cannot be read."""

    def __init__(self, schedule: str, time_zone: str) -> None:
        self._cron = cron.parse(schedule)
        self._zone = zones.zone(time_zone)
        self._calendar = Calendar(self._cron)

    def after(self, at_us: int) -> int | None:
        """The first moment later than this; None when there will be none."""
        at = _EPOCH + timedelta(microseconds=at_us)
        if at >= _LATEST:
            return None
        found = self._hourly_after(at) if self._cron.every_hour else self._daily_after(at)
        return None if found is None else (found - _EPOCH) // _SECOND * _SECOND_US

    def latest(self, after_us: int, until_us: int) -> int | None:
        """The last moment later than one time and not later than another; None: none is."""
        found = self.after(after_us)
        if found is None or found > until_us:
            return None
        # Halving finds it in as many steps as the span has bits, however long we slept.
        low, high = found, until_us
        while high - low >= _SECOND_US:
            middle = (low + high) // 2
            following = self.after(middle)
            if following is None or following > until_us:
                high = middle
            else:
                low = found = following
        return found

    def count(self, after_us: int, before_us: int, count_max: int) -> int:
        """How many moments lie between two times, ends left out; none beyond `count_max`."""
        found, at = 0, self.after(after_us)
        while at is not None and at < before_us and found < count_max:
            found, at = found + 1, self.after(at)
        return found

    def _daily_after(self, at: datetime) -> datetime | None:
        """For schedules that name hours: wall times in order are moments in order."""
        wall = self._calendar.after(self._wall(at))
        while wall is not None:
            if (moment := self._moment(wall)) > at:
                return moment
            wall = self._calendar.after(wall)
        return None

    def _moment(self, wall: datetime) -> datetime:
        """The instant of a wall time: the first of two, and right after the gap it is in."""
        first = wall.replace(tzinfo=self._zone).astimezone(UTC)
        if self._wall(first) == wall:
            return first
        early = wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        change = self._change(early, first)
        assert change is not None, "a wall time is missing only where the offset changes"
        return change

    def _hourly_after(self, at: datetime) -> datetime | None:
        """For schedules of every hour: what the zone's clock shows, stretch by stretch."""
        start = at
        while True:
            wall = self._calendar.after(self._wall(start))
            if wall is None:
                return None
            moment = wall.replace(tzinfo=UTC) - self._offset(start)
            change = self._change(start, moment)
            if change is None:
                return moment
            # The clock was set before it came to that time: look on from there.
            if self._matches(change):
                return change
            start = change

    def _matches(self, moment: datetime) -> bool:
        wall = self._wall(moment)
        return self._calendar.after(wall - _SECOND) == wall

    def _change(self, start: datetime, end: datetime) -> datetime | None:
        """The first instant after `start`, and not after `end`, with another offset."""
        low = start.replace(microsecond=0)  # Offsets change at whole seconds.
        offset = self._offset(low)
        while low < end:
            high = min(low + _STRIDE, end)
            if self._offset(high) != offset:
                return self._first_other(low, high)
            low = high
        return None

    def _first_other(self, low: datetime, high: datetime) -> datetime:
        """Where between two instants of different offsets the offset changes."""
        offset = self._offset(low)
        while high - low > _SECOND:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _wall(self, at: datetime) -> datetime:
        return at.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _offset(self, at: datetime) -> timedelta:
        offset = at.astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset
