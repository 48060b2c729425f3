"""The one room for time: timers of a process and the walk over a calendar. In memory.

The only caller of APScheduler. Only ever a clock: what is due and what was done stands in
the database. A missed tick runs once, and a tick never overlaps itself.

APScheduler's cron trigger counts weekdays from Monday, wants every restricted day at once,
and runs a time that a zone repeats twice. So it is given names of weekdays, one trigger for
each kind of day, and wall times without any zone; `timetable` lays those into a zone.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from runner.contract.cron import Cron

_ALARM: Final = "alarm"
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LATER: Final = timedelta(microseconds=1)


class Timers:
    """Calls functions every so many seconds, from one background thread."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def every(self, interval_s: float, call: Callable[[], object], jitter: float = 0.0) -> None:
        """Call again and again; `jitter` is a share of the interval, 0.1 for ±10 %."""
        self._scheduler.add_job(
            call, "interval", seconds=interval_s, jitter=interval_s * jitter or None
        )

    def alarm(self, at_us: int, call: Callable[[], object]) -> None:
        """Call once at a wall time; there is one alarm, and this moves it."""
        moment = datetime.fromtimestamp(at_us // 1_000_000, tz=UTC)
        self._scheduler.add_job(
            call,
            "date",
            run_date=moment + timedelta(microseconds=at_us % 1_000_000),
            id=_ALARM,
            replace_existing=True,
        )

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop; a running call is not waited for."""
        self._scheduler.shutdown(wait=False)


class Calendar:
    """The wall times of a schedule, in order. They carry no zone."""

    def __init__(self, cron: Cron) -> None:
        either = cron.days is not None and cron.weekdays is not None
        self._triggers = (
            [_trigger(cron, weekdays=False), _trigger(cron, days=False)]
            if either
            else [_trigger(cron)]
        )

    def after(self, wall: datetime) -> datetime | None:
        """The first wall time later than this; None when there is none before year 10 000."""
        later = (wall + _LATER).replace(tzinfo=UTC)
        found = [trigger.get_next_fire_time(None, later) for trigger in self._triggers]
        return min((at.replace(tzinfo=None) for at in found if at is not None), default=None)


def _trigger(cron: Cron, *, days: bool = True, weekdays: bool = True) -> CronTrigger:
    return CronTrigger(
        timezone=UTC,  # A calendar without summer time.
        minute=_listed(cron.minutes, 60),
        hour=_listed(cron.hours, 24),
        month=_listed(cron.months, 12),
        day=_listed(cron.days, 31) if days and cron.days is not None else "*",
        day_of_week=",".join(_WEEKDAYS[day] for day in sorted(cron.weekdays))
        if weekdays and cron.weekdays is not None
        else "*",
    )


def _listed(numbers: frozenset[int], all_of_them: int) -> str:
    if len(numbers) == all_of_them:
        return "*"
    return ",".join(str(number) for number in sorted(numbers))
