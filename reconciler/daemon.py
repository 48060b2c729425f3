"""The daemon: looks when something may have changed, one look at a time, until told to stop.

    watch, knock, SIGHUP ─┐
    poll (±10 %) ─────────┼─> wake ──select──> one pass ──> applied | unchanged: wait
    a schedule is due ────┘                      ├─> waiting: back off 0.75 s .. 15 min
                                                 └─> stalled: wait for the poll or a push

Everything that wakes writes one byte into a socket, even the signal handlers: the loop is
the only thing that acts, however many wake it, and it looks at the newest commit there is.
While it backs off a poll does not shorten the wait; a push or a person does.
"""

import contextlib
import logging
import select
import signal
import socket
import time
from types import FrameType
from typing import Final

from reconciler import apply
from reconciler.git.watch import RefWatch, watchable
from reconciler.leader import TURN_S, Leader
from reconciler.reconcile import Outcome, PassResult, Reconciler
from reconciler.schedule import Schedules
from reconciler.schedule_settle import Cancel
from runner.contract import clock, errors, seal, service, telemetry, wake
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.timers import Timers

ROLE: Final = "daemon"
BACKOFF_FIRST_S: Final = 0.75
BACKOFF_MAX_S: Final = 900.0
DEBOUNCE_S: Final = 0.02
"""Pushes this close behind a look are taken together; the first is never held up."""
HANGING_US: Final = 1_800_000_000
"""A pass that takes longer hangs: systemd's watchdog is fed no more, and starts us anew."""
MAINTAIN_EVERY: Final = 50
MAINTAIN_AT_LATEST: Final = 500
"""Commits applied between two repacks of the mirror: the lower when nobody pushes just now."""
QUIET_S: Final = 2.0
"""A silence this long is quiet: a repack takes half a second that a push would wait for."""
TEND_AGAIN_US: Final = 5_000_000
"""When to look at the schedules again after that failed."""
_POLL, _LOOK, _FORCED, _TEND, _STOP = b"p", b"l", b"f", b"t", b"s"
_SECOND_US: Final = 1_000_000


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return float(min(BACKOFF_FIRST_S * 2 ** min(failures - 1, 30), BACKOFF_MAX_S))


class Daemon:
    """The reconciler of one home, and its schedules, which work without a repository too."""

    def __init__(self, settings: Settings, database: Database, cancel: Cancel) -> None:
        self._settings = settings
        self._database = database
        self._schedules = Schedules(database, cancel)
        self._timers = Timers()
        self._reconciler = Reconciler(settings, database) if settings.source.url else None
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._failures = 0
        self._retry_at_us: int | None = None
        self._looked_at_us = 0
        self._busy_since_us: int | None = None
        self._complaint = ""
        self._unpacked = 0
        self._leader = Leader(database)
        self._leading = False

    def run(self) -> None:
        """Reconcile until SIGTERM or SIGINT; AlreadyRunning if another daemon has this home."""
        # Before the role is taken: whoever sees it taken may ask us to stop at once.
        self._listen_to_signals()
        with contextlib.ExitStack() as stack:
            stack.enter_context(service.only_one(self._settings.run, ROLE))
            stack.callback(service.notify, "STOPPING=1")
            if self._database.shared:
                with self._database.read() as connection:
                    seal.same_key(connection, self._settings.home)
            stack.callback(self._leader.resign)
            # The last connection to close rewrites a SQLite file: hold one, so that a look
            # which finds nothing writes nothing.
            stack.enter_context(self._database.connect())
            knocks = stack.enter_context(self._database.listen(wake.DAEMON))
            watch = self._watch(stack)
            self._start_timers(stack)
            telemetry.log(
                "daemon_started",
                "The daemon follows the repository."
                if self._reconciler
                else "The daemon has no repository to follow: source.url is not set.",
                home=str(self._settings.home),
            )
            service.notify("READY=1")
            self._wake(_LOOK)
            self._loop(knocks, watch)
        telemetry.log("daemon_stopped", "The daemon stopped.")

    def _loop(self, knocks: socket.socket, watch: RefWatch | None) -> None:
        while True:
            ready, _, _ = select.select([self._woken, knocks], [], [], self._wait_s())
            calls = _received(self._woken) if self._woken in ready else b""
            if knocks in ready:
                wake.drain(knocks)
                calls += _FORCED
            if _STOP in calls:
                return
            if watch is not None and _POLL in calls:
                watch.start()
            was_leading, self._leading = self._leading, self._leads()
            if not self._leading:
                continue
            if self._reconciler is not None:
                if self._due(calls) or not was_leading:
                    self._look(self._reconciler, forced=_FORCED in calls)
                self._maintain(self._reconciler, quiet=not ready)
            self._tend()

    def _leads(self) -> bool:
        try:
            return self._leader.leads()
        except errors.DatabaseUnavailable as error:
            self._complain(str(error))
            return False

    def _wait_s(self) -> float | None:
        if not self._leading:
            return TURN_S
        waits = [QUIET_S] if self._unpacked >= MAINTAIN_EVERY else []
        if self._retry_at_us is not None:
            waits.append(max(0, self._retry_at_us - clock.boot_us()) / _SECOND_US)
        return min(waits, default=None)

    def _due(self, calls: bytes) -> bool:
        if _LOOK in calls or _FORCED in calls:
            return True
        if self._retry_at_us is not None:
            return clock.boot_us() >= self._retry_at_us
        return _POLL in calls

    def _look(self, reconciler: Reconciler, *, forced: bool) -> None:
        since_s = (clock.boot_us() - self._looked_at_us) / _SECOND_US
        if since_s < DEBOUNCE_S:
            time.sleep(DEBOUNCE_S - since_s)
        self._busy_since_us = started_us = clock.boot_us()
        try:
            result = reconciler.run(clock.now_us(), forced=forced)
            self._settle(result, clock.boot_us() - started_us)
        except Exception as error:  # noqa: BLE001  # The boundary: record, back off, go on.
            self._survive(reconciler, error)
        self._busy_since_us = None
        self._looked_at_us = clock.boot_us()

    def _settle(self, result: PassResult, took_us: int) -> None:
        """Say what a pass did, once, and decide when to look again by ourselves."""
        if isinstance(result.error, errors.OrlojError):
            self._complain(str(result.error))
        else:
            self._complaint = ""
        if result.outcome is Outcome.FAILED and not isinstance(
            result.error, errors.SourceStalled
        ):
            self._back_off()
        else:
            self._failures, self._retry_at_us = 0, None
        if result.outcome is Outcome.APPLIED and result.plan is not None:
            self._unpacked += 1
            telemetry.log(
                "pass_applied",
                f"Applied a commit: {apply.counted(result.plan)}.",
                commit=result.commit,
                plan=result.plan.short_id,
                tasks=len(result.tasks),
                took_ms=took_us // 1_000,
            )
        elif result.outcome is Outcome.REJECTED:
            telemetry.log(
                "pass_rejected",
                "Rejected a commit; what was applied before stays.",
                level=logging.WARNING,
                commit=result.commit,
                problems=[str(problem) for problem in result.problems[:5]],
                blocked=list(result.plan.blocked) if result.plan else [],
            )

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            telemetry.log("pass_failed", message, level=logging.WARNING)
        self._complaint = message

    def _back_off(self) -> None:
        self._failures += 1
        wait_us = int(backoff_s(self._failures) * _SECOND_US)
        self._retry_at_us = clock.boot_us() + wait_us

    def _survive(self, reconciler: Reconciler, error: Exception) -> None:
        """Record an error that ended a pass, and try again later.

        Of one nobody foresaw only the name, since its text may hold anything.
        """
        reason, message = type(error).__name__, str(error)
        if isinstance(error, errors.OrlojError):
            self._complain(message)
        else:
            telemetry.log_exception("pass_failed", "A pass ended in an error nobody foresaw.")
            message = f"an unforeseen {reason}; the daemon's log has the traceback"
            reason = "Internal"
        self._back_off()
        with contextlib.suppress(Exception):  # The database itself may be what failed.
            reconciler.report(reason, message, clock.now_us())

    def _tend(self) -> None:
        """Queue what schedules owe, and be woken when the next one comes due."""
        try:
            next_us = self._schedules.tend(clock.now_us())
        except errors.OrlojError as error:
            self._complain(str(error))
            next_us = clock.now_us() + TEND_AGAIN_US
        except Exception:  # noqa: BLE001  # The boundary: record, wait, go on.
            telemetry.log_exception("schedules_failed", "Schedules met an unforeseen error.")
            next_us = clock.now_us() + TEND_AGAIN_US
        if next_us is not None:
            self._timers.alarm(next_us, lambda: self._wake(_TEND))

    def _maintain(self, reconciler: Reconciler, *, quiet: bool) -> None:
        if self._unpacked >= (MAINTAIN_EVERY if quiet else MAINTAIN_AT_LATEST):
            self._unpacked = 0
            try:
                reconciler.maintain()
            except Exception as error:  # noqa: BLE001  # The boundary: record, and go on.
                self._survive(reconciler, error)

    # What wakes the loop.

    def _wake(self, call: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # Full of calls: it is awake.
            self._waker.send(call)

    def _listen_to_signals(self) -> None:
        calls = {signal.SIGTERM: _STOP, signal.SIGINT: _STOP, signal.SIGHUP: _FORCED}

        def on_signal(number: int, _frame: FrameType | None) -> None:
            self._wake(calls[signal.Signals(number)])

        for number in calls:
            signal.signal(number, on_signal)

    def _watch(self, stack: contextlib.ExitStack) -> RefWatch | None:
        repository = watchable(self._settings.source.url)
        if repository is None or self._reconciler is None:
            return None
        watch = RefWatch(repository, lambda: self._wake(_LOOK))
        watch.start()
        stack.callback(watch.stop)
        return watch

    def _start_timers(self, stack: contextlib.ExitStack) -> None:
        timers = self._timers
        poll_s = self._settings.source.interval_s
        timers.every(poll_s, lambda: self._wake(_POLL), jitter=0.1)
        if (interval_s := service.watchdog_interval_s()) is not None:
            timers.every(interval_s, self._beat)
        timers.start()
        stack.callback(timers.stop)

    def _beat(self) -> None:
        busy_since_us = self._busy_since_us
        if busy_since_us is None or clock.boot_us() - busy_since_us < HANGING_US:
            service.notify("WATCHDOG=1")


def _received(woken: socket.socket) -> bytes:
    """Every call that came in, which may be none."""
    with contextlib.suppress(BlockingIOError):
        return woken.recv(65_536)
    return b""
