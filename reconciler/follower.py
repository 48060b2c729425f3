"""One repository of the daemon: when to look at it, and what its last look came to.

    idle ──due──> sighting (a thread: only git) ──sighted──> following (the loop) ──> idle
                                                  failed: back off 0.75 s .. 15 min ±10 %
                                                  blocked for a time: again when it is over

The remote is asked in a thread of the repository's own, so that one which does not answer
holds up no other. All that touches the database happens in the daemon's loop.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from reconciler import canary_watch, transition
from reconciler.canary_verdict import Verdict
from reconciler.canary_watch import LOOK_AGAIN_S
from reconciler.follower_log import FollowerLog
from reconciler.git.watch import RefWatch, watchable
from reconciler.in_flight import Cancel
from reconciler.reconcile import Reconciler, Sighting
from reconciler.report import Outcome, PassResult
from runner.contract import clock, errors, service, telemetry
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.timers import Timers

BACKOFF_FIRST_S: Final = 0.75
BACKOFF_MAX_S: Final = 900.0
BACKOFF_JITTER: Final = 0.1
CLOCK_TRUSTED_US: Final = 60_000_000
"""How long a wait for a moment of the wall's clock lasts before that is looked at again."""
DEBOUNCE_S: Final = 0.02
"""Pushes this close behind a look are taken together; the first is never held up."""
MAINTAIN_EVERY: Final = 50
MAINTAIN_AT_LATEST: Final = 500
"""Commits applied between two repacks of the mirror: the lower when nobody pushes just now."""
_SECOND_US: Final = 1_000_000


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return float(min(BACKOFF_FIRST_S * 2 ** min(failures - 1, 30), BACKOFF_MAX_S))


class Follower:
    """Follows the repository `name`; `wake` gets the loop to call `step`.

    The loop sets what may have happened with `look`, `poll` and `demand`, and then calls
    `step`, which never waits for the remote.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        name: str,
        wake: Callable[[], None],
        cancel: Cancel | None = None,
    ) -> None:
        self.name = name
        self.reconciler = Reconciler(settings, database, name, cancel=cancel)
        self.unpacked = 0
        self.busy_since_us: int | None = None
        self._source = settings.followed[name]
        self._run = settings.run
        self._database = database
        self._wake = wake
        self._sighting: Future[Sighting] | None = None
        self._watch: RefWatch | None = None
        self._due = False
        self._forced = False
        self._polled = False
        self._failures = 0
        self._retry_at_us: int | None = None
        self._again_at_us: int | None = None  # By the wall: what blocks a commit is over.
        self._looked_at_us = 0
        self._says = FollowerLog(name)
        self._canary_waits = False

    def start(self, timers: Timers) -> None:
        """Watch the repository if it is on this machine, and poll it."""
        timers.every(self._source.interval_s, self._on_poll, jitter=0.1)
        repository = watchable(self._source.url)
        if repository is not None:
            self._watch = RefWatch(repository, self._on_push)
            self._watch.start()

    def stop(self) -> None:
        """Stop watching; a look that is under way ends by itself, or with the process."""
        if self._watch is not None:
            self._watch.stop()

    def look(self) -> None:
        """Something may have changed: look when `step` is called."""
        self._due = True

    def demand(self) -> None:
        """Somebody asks: look again also at what was rejected, and write that we looked."""
        self._due = self._forced = True

    def wait_s(self) -> float | None:
        """How long the loop may sleep, as far as this repository knows."""
        if self._sighting is not None:
            return None
        waits = [
            *([] if self._retry_at_us is None else [self._retry_at_us - clock.boot_us()]),
            *([] if self._again_at_us is None else [self._again_in_us()]),
            *([int(LOOK_AGAIN_S * _SECOND_US)] if self._canary_waits else []),
        ]
        return max(0, min(waits)) / _SECOND_US if waits else None

    def tend_canary(self, cancel: Cancel) -> None:
        """Decide on the canary of what is applied, between two looks."""
        if self._sighting is not None:
            return
        try:
            tended = canary_watch.tend(
                self.reconciler.place,
                self.reconciler.digest,
                cancel,
                runner_here=service.is_running(self._run, "runner"),
                now_us=clock.now_us(),
            )
        except (errors.SourceError, errors.PlanStale) as error:
            self._says.failed(str(error))
            self._canary_waits = True
            return
        except Exception as error:  # noqa: BLE001  # The boundary: record, back off, go on.
            self._survive(error)
            return
        self._canary_waits = tended.verdict is Verdict.WAITING
        if tended.verdict in (Verdict.PASSED, Verdict.FAILED):
            self._says.canary(tended)
        if tended.verdict is Verdict.FAILED:
            self.reconciler.retry()  # A newer commit may have been rejected meanwhile.
            self._due = True
            self._wake()

    def step(self) -> PassResult | None:
        """Begin a look that is due, or finish one whose remote has answered."""
        if self._polled:
            self._polled = False
            if self._watch is not None:
                self._watch.start()
            # While it backs off a poll does not shorten the wait.
            self._due |= self._retry_at_us is None
        if self._sighting is not None:
            return self._follow(self._sighting) if self._sighting.done() else None
        if self._retry_at_us is not None and clock.boot_us() >= self._retry_at_us:
            self._due = True
        if self._again_at_us is not None and clock.now_us() >= self._again_at_us:
            self._due, self._again_at_us = True, None
        if self._due:
            self._begin()
        return None

    def maintain(self, *, quiet: bool) -> None:
        """Keep the mirror quick to read, between two looks."""
        limit = MAINTAIN_EVERY if quiet else MAINTAIN_AT_LATEST
        if self.unpacked >= limit and self._sighting is None:
            self.unpacked = 0
            try:
                self.reconciler.maintain()
            except Exception as error:  # noqa: BLE001  # The boundary: record, and go on.
                self._survive(error)

    def _again_in_us(self) -> int:
        """How long until a block is over; not for long, since the wall's clock may be set."""
        assert self._again_at_us is not None
        return min(self._again_at_us - clock.now_us(), CLOCK_TRUSTED_US)

    def _on_push(self) -> None:
        self._due = True
        self._wake()

    def _on_poll(self) -> None:
        self._polled = True
        self._wake()

    def _begin(self) -> None:
        self._due, self._retry_at_us = False, None
        self.busy_since_us = clock.boot_us()
        sighting: Future[Sighting] = Future()
        sighting.add_done_callback(lambda _: self._wake())
        self._sighting = sighting
        # No pool: its threads are waited for when the process ends, and a remote that hangs
        # would hold up a stop for as long as a fetch may take.
        asking = (sighting, self._looked_at_us)
        threading.Thread(target=self._ask, args=asking, name=self.name, daemon=True).start()

    def _ask(self, sighting: "Future[Sighting]", looked_at_us: int) -> None:
        try:
            sighting.set_result(self._sight(looked_at_us))
        except Exception as error:  # noqa: BLE001  # Raised again where the look is followed.
            sighting.set_exception(error)

    def _sight(self, looked_at_us: int) -> Sighting:
        since_s = (clock.boot_us() - looked_at_us) / _SECOND_US
        if since_s < DEBOUNCE_S:
            time.sleep(DEBOUNCE_S - since_s)
        return self.reconciler.sight()

    def _follow(self, sighting: "Future[Sighting]") -> PassResult | None:
        forced, self._forced, self._sighting = self._forced, False, None
        started_us, result = self.busy_since_us or clock.boot_us(), None
        try:
            found = sighting.result()
            result = self.reconciler.follow(found, clock.now_us(), forced=forced)
            self._settle(result, clock.boot_us() - started_us)
        except Exception as error:  # noqa: BLE001  # The boundary: record, back off, go on.
            self._survive(error)
        self.busy_since_us = None
        self._looked_at_us = clock.boot_us()
        if self._due:
            self._wake()
        return result

    def _settle(self, result: PassResult, took_us: int) -> None:
        """Say what a pass did, once, and decide when to look again by ourselves."""
        stalled = isinstance(result.error, errors.SourceStalled)
        if result.outcome is Outcome.FAILED and not stalled:
            self._back_off()
        else:
            self._failures, self._retry_at_us = 0, None
        if result.outcome not in (Outcome.FAILED, Outcome.UNCHANGED):
            self._again_at_us = result.until_us
        self.unpacked += result.outcome is Outcome.APPLIED
        self._says.ended(result, took_us)

    def _back_off(self) -> None:
        self._failures += 1
        # Many that fail at once must not come back at once.
        spread = random.uniform(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)  # noqa: S311
        wait_us = int(backoff_s(self._failures) * spread * _SECOND_US)
        self._retry_at_us = clock.boot_us() + wait_us
        with contextlib.suppress(errors.DatabaseUnavailable):  # It may be what failed.
            self._remember(clock.now_us() + wait_us)

    def _remember(self, retry_at: int) -> None:
        """Write down when it will be looked at again, so that the status can say so."""
        with self._database.write() as connection:
            transition.will_retry(connection, self.name, retry_at, self._failures)

    def _survive(self, error: Exception) -> None:
        """Record an error that ended a pass, and try again later.

        Of one nobody foresaw only the name, since its text may hold anything.
        """
        reason, message = type(error).__name__, str(error)
        if isinstance(error, errors.OrlojError):
            self._says.failed(message)
        else:
            telemetry.log_exception("pass_failed", "A pass ended in an error nobody foresaw.")
            message = f"an unforeseen {reason}; the daemon's log has the traceback"
            reason = "Internal"
        self._back_off()
        with contextlib.suppress(Exception):  # The database itself may be what failed.
            self.reconciler.report(reason, message, clock.now_us())
