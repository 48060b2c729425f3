"""A lane for each target of the settings: a thread that fills its outbox and empties it.

    look ─> fill ─> take ─> send ─> sent | later | failed ─> wait for a look or what is due

Whoever is told, hangs or lies does so in its lane alone. What is given up goes into the
audit log and becomes an event.
"""

import logging
import threading
from typing import Final

from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.notify import choice, outbox, post
from reconciler.notify.notice import Notice
from reconciler.notify.post import Reply
from runner.contract import audit, clock, errors, telemetry
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.web_settings import Notify

ATTEMPTS_MAX: Final = 10
PAUSES_S: Final = (1, 4, 16, 64, 256, 900, 1_800, 3_600, 7_200)
"""Four hours in all: a night at a Git host that is down is longer, an outage mostly is not."""
AGAIN_S: Final = 5.0
"""When to look again after the database or we ourselves failed."""
LET_GO_S: Final = 1.0


class Lanes:
    """The lanes of a daemon."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._lanes = [
            Lane(settings, database, name, target) for name, target in settings.notify.items()
        ]

    def start(self) -> None:
        """Begin; what happens from now on is told. DatabaseUnavailable."""
        if self._lanes:
            with self._database.write() as connection:
                outbox.begin(connection, [lane.name for lane in self._lanes])
        for lane in self._lanes:
            lane.start()

    def look(self, *, leading: bool) -> None:
        """Something may have happened; only the daemon that leads sends anything."""
        for lane in self._lanes:
            lane.look(leading=leading)

    def stop(self) -> None:
        """End; what is being sent is left to be sent again."""
        for lane in self._lanes:
            lane.stop()


class Lane:
    """Tells one target."""

    def __init__(
        self, settings: Settings, database: Database, name: str, target: Notify
    ) -> None:
        self.name = name
        self._target = target
        self._home = settings.home
        self._database = database
        self._woken = threading.Event()
        self._leading = False
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=f"notify-{name}", daemon=True)

    def start(self) -> None:
        """Begin to wait for a look."""
        self._thread.start()

    def look(self, *, leading: bool) -> None:
        """Wake up if there may be something to do."""
        self._leading = leading
        if leading:
            self._woken.set()

    def stop(self) -> None:
        """End at the next chance."""
        self._stopping = True
        self._woken.set()
        self._thread.join(LET_GO_S)

    def _work(self) -> None:
        pause_s: float | None = None
        while True:
            self._woken.wait(pause_s)
            self._woken.clear()
            if self._stopping:
                return
            pause_s = self._turn() if self._leading else None

    def _turn(self) -> float | None:
        """Do what is to do; how long until there is more, as far as is known."""
        try:
            return self._tell()
        except errors.DatabaseUnavailable:
            return AGAIN_S  # The loop says so.
        except Exception:  # noqa: BLE001  # The boundary: record, wait, go on.
            telemetry.log_exception(
                "notifier_failed", "Notifications met an unforeseen error.", target=self.name
            )
            return AGAIN_S

    def _tell(self) -> float | None:
        while not self._stopping:
            now_us = clock.now_us()
            with self._database.read() as connection:
                behind = outbox.behind(connection, self.name)
                due_us = outbox.next_due_us(connection, self.name)
            if not behind and (due_us is None or due_us > now_us):
                return None if due_us is None else (due_us - now_us) / 1_000_000
            with self._database.write() as connection:
                outbox.fill(connection, self.name, self._target, now_us)
                notice = outbox.take(connection, self.name, now_us)
            if notice is not None:
                self._send(notice)
        return None

    def _send(self, notice: Notice) -> None:
        reply = post.send(self._home, self.name, self._target, notice)
        now_us, problem = clock.now_us(), reply.problem
        with self._database.write() as connection:
            if problem is not None and reply.again and notice.attempts < ATTEMPTS_MAX:
                outbox.put_back(
                    connection, notice.id, now_us + _pause_us(notice, reply), problem
                )
            elif outbox.close(connection, notice.id, problem, now_us) and problem is not None:
                audit.append(connection, [self._entry(notice, problem)], now_us)
                events.record(connection, self._event(notice, problem), now_us)
        if problem is not None:
            telemetry.log(
                "notification_failed",
                "A target was not told.",
                level=logging.WARNING,
                target=self.name,
                problem=problem,
                attempt=notice.attempts,
            )

    def _entry(self, notice: Notice, problem: str) -> Entry:
        return Entry(
            type=EntryType.NOTIFICATION_FAILED,
            actor="daemon",
            commit=notice.event.commit or NO_COMMIT,
            resource=f"source/{notice.event.source}",
            reason=f"{notice.event.reason} to {self.name}: {problem}",
        )

    def _event(self, notice: Notice, problem: str) -> Event:
        return Event(
            source=notice.event.source,
            severity=EventSeverity.WARNING,
            reason=choice.NOT_TOLD,
            message=f"{self.name} was not told of {notice.event.reason}: {problem}",
            commit=notice.event.commit,
        )


def _pause_us(notice: Notice, reply: Reply) -> int:
    return int(max(PAUSES_S[notice.attempts - 1], reply.retry_after_s) * 1_000_000)
