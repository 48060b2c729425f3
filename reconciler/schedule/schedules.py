"""Schedules: queue what they owe, each moment once, however often anybody looks.

    recorded state changed? ──> look at the manifests that did ─┐
    a moment has come? ─────────────────────────────────────────┴─> settle ─> when to look next

Level-triggered: what is due is computed from the rows. What is kept here in memory only says
when to look again; to lose it, to look twice or to be killed at any point changes nothing.
"""

import logging
from itertools import islice
from typing import Final

from reconciler import canary, recorded
from reconciler.in_flight import Cancel
from reconciler.schedule import rows as schedule_rows
from reconciler.schedule import settle as schedule_settle
from reconciler.schedule.due import Decision
from reconciler.schedule.settle import Ruling
from runner.contract import clock, telemetry, wake
from runner.contract.database import Database
from runner.contract.kinds import Key

BATCH: Final = 50
"""Schedules decided in one transaction: at midnight many come due at once."""
_ACTIONS: Final = {
    Decision.QUEUED: ("schedule_fired", logging.INFO, "A schedule queued its task."),
    Decision.SKIPPED: ("schedule_skipped", logging.WARNING, "A schedule's turn was skipped."),
    Decision.MISSED: ("schedule_missed", logging.WARNING, "A schedule missed its time."),
}


class Schedules:
    """The schedules of a database. Call `tend` whenever something may be due or changed."""

    def __init__(self, database: Database, cancel: Cancel) -> None:
        self._database = database
        self._cancel = cancel
        self._serial: int | None = None
        self._next: dict[Key, int | None] = {}
        self._seen: dict[Key, tuple[int, int]] = {}
        self._held: set[Key] = set()

    def tend(self, now_us: int) -> int | None:
        """Decide all that is due, durably; when the next will be. DatabaseUnavailable."""
        changed: set[Key] = set()
        with self._database.read() as connection:
            serial = recorded.serial(connection)
            seen = self._seen
            if serial != self._serial:
                seen = schedule_rows.versions(connection)
                gone = schedule_rows.progress(connection).keys() - seen.keys()
                changed = gone | {key for key, _ in seen.items() ^ self._seen.items()}
            held = schedule_rows.owned_by(connection, canary.holding(connection))
        due = {key for key, at in self._next.items() if at is not None and at <= now_us}
        # What a revision on trial declares waits, and is decided once the trial is over.
        keys = iter(sorted((changed | due | self._held) - held))
        while batch := list(islice(keys, BATCH)):
            self._settle(batch, now_us)
        self._serial, self._seen, self._held = serial, seen, held
        coming = (at for key, at in self._next.items() if key not in held)
        return min((at for at in coming if at is not None), default=None)

    def _settle(self, keys: list[Key], now_us: int) -> None:
        with self._database.write() as connection:
            settled = schedule_settle.settle(connection, keys, self._cancel, now_us)
        for key in keys:
            self._next.pop(key, None)
        self._next |= settled.following
        if any(ruling.task for ruling in settled.rulings):
            self._database.knock(wake.RUNNER)
        for ruling in settled.rulings:
            _say(ruling)
        for key, reason in settled.unreadable.items():
            telemetry.log(
                "schedule_unreadable",
                "A schedule cannot be read and runs nothing.",
                level=logging.ERROR,
                schedule=str(key),
                reason=reason,
            )


def _say(ruling: Ruling) -> None:
    action, level, message = _ACTIONS[ruling.decision]
    facts = {"task": ruling.task} if ruling.task else {"reason": ruling.reason}
    telemetry.log(
        action,
        message,
        level=level,
        schedule=str(ruling.manifest.key),
        due=clock.iso(ruling.fire_at),
        **facts,
    )
