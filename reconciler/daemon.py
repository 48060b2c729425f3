"""The daemon: looks when something may have changed, until told to stop.

    watch, poll (±10 %) ──┐                  ┌─> follower A ─ its thread asks the remote
    knock, SIGHUP ────────┼─> wake ──select──┼─> follower B ─ its thread asks the remote
    a remote answered ────┤                  └─> schedules
    a delivery, a ring ───┤
    a schedule is due ────┤     one thing after the other: plan, apply, report
    a look for drift ─────┘

Everything that wakes writes one byte into a socket, even the signal handlers: the loop is
the only thing that writes, however many wake it, and it takes the newest commit there is.
"""

import contextlib
import logging
import select
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import Final

from reconciler import control
from reconciler.drift import watch as drift_watch
from reconciler.evaluation.beginning import Pin
from reconciler.evaluation.tending import Evaluations
from reconciler.follower import MAINTAIN_EVERY, Follower
from reconciler.in_flight import Cancel
from reconciler.leader import TURN_S, Leader
from reconciler.notify.lanes import Lanes
from reconciler.privacy.sweeps import Sweeps
from reconciler.proof.keeping import Keeping
from reconciler.pulse import Pulse
from reconciler.report import Outcome
from reconciler.schedule.schedules import Schedules
from runner.contract import clock, errors, seal, service, telemetry, wake
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.timers import Timers

ROLE: Final = "daemon"
HANGING_US: Final = 1_800_000_000
"""A pass that takes longer hangs: systemd's watchdog is fed no more, and starts us anew."""
QUIET_S: Final = 2.0
"""A silence this long is quiet: a repack takes half a second that a push would wait for."""
TEND_AGAIN_US: Final = 5_000_000
"""When to look at the schedules again after that failed."""
HOOKED_MAX: Final = 1_000
"""Repositories named by deliveries that the loop has not come to yet."""
_LOOK, _FORCED, _TEND, _STOP = b"l", b"f", b"t", b"s"


class Daemon:
    """Follows the repositories of one home, and tends its schedules, with or without any."""

    def __init__(
        self, settings: Settings, database: Database, cancel: Cancel, pin: Pin
    ) -> None:
        self._settings = settings
        self._database = database
        self._cancel = cancel
        self._schedules = Schedules(database, cancel)
        self._evaluations = Evaluations(database, pin, cancel)
        self._timers = Timers()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._followers = [
            Follower(settings, database, name, lambda: self._wake(_LOOK), cancel)
            for name in settings.followed
        ]
        reconcilers = [follower.reconciler for follower in self._followers]
        self._drift = drift_watch.watches(
            [(one.place, one.digest) for one in reconcilers], seal.sealer(settings.home)
        )
        self._complaint = ""
        self._lanes = Lanes(settings, database)
        self._keeping = Keeping(settings, database)
        self._retention = Sweeps(database)
        self._leader = Leader(database)
        self._leading = False
        self.pulse = Pulse(lambda: self._wake(_LOOK))
        self._hooked: deque[str] = deque(maxlen=HOOKED_MAX)

    def run(
        self, beside: Callable[["Daemon"], AbstractContextManager[None]] | None = None
    ) -> None:
        """Reconcile until SIGTERM or SIGINT; AlreadyRunning if another daemon has this home.

        `beside` is what runs in the meantime.
        """
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
            self._keeping.begin()
            self._start(stack)
            telemetry.log(
                "daemon_started",
                "The daemon follows the repositories."
                if self._followers
                else "The daemon has no repository to follow: source.url is not set.",
                home=str(self._settings.home),
                sources=list(self._settings.followed),
            )
            if beside is not None:
                stack.enter_context(beside(self))
            service.notify("READY=1")
            self._loop(knocks)
        telemetry.log("daemon_stopped", "The daemon stopped.")

    def hook(self, names: Sequence[str]) -> None:
        """A Git host says that these repositories have news. From any thread."""
        self._hooked.extend(names)
        self._wake(_LOOK)

    def _loop(self, knocks: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([self._woken, knocks], [], [], self._wait_s())
            calls = _received(self._woken) if self._woken in ready else b""
            knocked = knocks in ready
            if knocked:
                wake.drain(knocks)
            if _STOP in calls:
                return
            self.pulse.beat()
            hooked = self._taken_hooks()
            was_leading, self._leading = self._leading, self._leads()
            if not self._leading:
                self._lanes.look(leading=False)
                self._keeping.look(leading=False)
                self._hand_on(hooked)
                continue
            self._pass_on(forced=_FORCED in calls, knocked=knocked, looked_before=was_leading)
            self._look_at(hooked)
            results = [follower.step() for follower in self._followers]
            if any(result and result.outcome is Outcome.APPLIED for result in results):
                self._reconsider()
            looking = [watch.step() for watch in self._drift]
            for follower in self._followers:
                follower.tend_canary(self._cancel)
                follower.maintain(quiet=not (ready or any(looking)))
            self._lanes.look(leading=True)
            self._tend()
            self._evaluations.tend()
            self._keeping.look(leading=True)
            self._retention.step()

    def _pass_on(self, *, forced: bool, knocked: bool, looked_before: bool) -> None:
        """Tell each repository what may have happened to it."""
        asked = self._asked() if knocked else set()
        for follower, watch in zip(self._followers, self._drift, strict=True):
            if forced or follower.name in asked or (knocked and not asked):
                follower.demand()
                watch.demand()
            elif not looked_before:
                follower.look()

    def _taken_hooks(self) -> set[str]:
        """The repositories that deliveries named since the last turn."""
        names = set()
        with contextlib.suppress(IndexError):
            while True:
                names.add(self._hooked.popleft())
        return names

    def _look_at(self, names: set[str]) -> None:
        for follower in self._followers:
            if follower.name in names:
                follower.look()

    def _hand_on(self, names: set[str]) -> None:
        """Another daemon leads: ask that one for a look, as a person would."""
        if not names:
            return
        try:
            with self._database.write() as connection:
                for name in sorted(names):
                    control.request(connection, name, clock.new_id(), "webhook")
            self._database.knock(wake.DAEMON)
        except errors.DatabaseUnavailable as error:
            self._complain(str(error))

    def _asked(self) -> set[str]:
        """The repositories that somebody waits for; none named means all."""
        try:
            with self._database.read() as connection:
                known = control.controls(connection)
        except errors.DatabaseUnavailable as error:
            self._complain(str(error))
            return set()
        return {name for name, item in known.items() if item.asked}

    def _reconsider(self) -> None:
        """What one repository applied may be what another's rejected commit had missed."""
        for follower in self._followers:
            if follower.reconciler.retry():
                follower.look()
                self._wake(_LOOK)

    def _leads(self) -> bool:
        try:
            return self._leader.leads()
        except errors.DatabaseUnavailable as error:
            self._complain(str(error))
            return False

    def _wait_s(self) -> float:
        if not self._leading:
            return TURN_S
        waits = [
            wait for follower in self._followers if (wait := follower.wait_s()) is not None
        ]
        waits += [
            QUIET_S for follower in self._followers if follower.unpacked >= MAINTAIN_EVERY
        ]
        waits += [watch.wait_s() for watch in self._drift]
        return min([*waits, self._retention.wait_s(), self._evaluations.wait_s])

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            telemetry.log("pass_failed", message, level=logging.WARNING)
        self._complaint = message

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

    def _start(self, stack: contextlib.ExitStack) -> None:
        self._keeping.start()
        stack.callback(self._keeping.stop)
        self._lanes.start()
        stack.callback(self._lanes.stop)
        for follower in self._followers:
            stack.callback(follower.stop)
            follower.start(self._timers)
            follower.look()
        if (interval_s := service.watchdog_interval_s()) is not None:
            self._timers.every(interval_s, self._beat)
        self._timers.start()
        stack.callback(self._timers.stop)
        self._wake(_LOOK)

    def _beat(self) -> None:
        since = [follower.busy_since_us for follower in self._followers]
        if all(at is None or clock.boot_us() - at < HANGING_US for at in since):
            service.notify("WATCHDOG=1")


def _received(woken: socket.socket) -> bytes:
    """Every call that came in, which may be none."""
    with contextlib.suppress(BlockingIOError):
        return woken.recv(65_536)
    return b""
