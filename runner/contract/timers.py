"""Timers of a process, in memory. The only caller of APScheduler.

Only ever a clock: what is due and what was done stands in the database. Times are UTC, a
missed tick runs once, and a tick never overlaps itself.
"""

from collections.abc import Callable

from apscheduler.schedulers.background import BackgroundScheduler


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

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop; a running call is not waited for."""
        self._scheduler.shutdown(wait=False)
