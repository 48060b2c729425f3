"""One pass: look at the repository, and make the recorded state follow it.

    resolve ──same commit──> unchanged
       └─> fetch ─> load ─> check ─> plan ─> apply ─> applied
             │        └── any problem ──> rejected: the last good state stays
             └── remote, ref or tree gone ──> failed: nothing is ever deleted for it

A commit that was rejected is not looked at again until there is another, somebody asks, or
the moment comes at which what blocks it goes away by itself.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

from reconciler import apply, canary, in_flight_rows, preview
from reconciler import control as controls
from reconciler.canary_rows import Canary
from reconciler.change import Plan
from reconciler.condition import RECONCILING
from reconciler.control import Control
from reconciler.desired import Scope
from reconciler.git.source import GitSource
from reconciler.history import trigger
from reconciler.history.trigger import Cause, Trigger
from reconciler.in_flight import Cancel
from reconciler.preview import Preview
from reconciler.recorded import SourceState
from reconciler.report import Outcome, PassResult, Report
from reconciler.repository import Repository
from runner.contract import clock, errors
from runner.contract.database import Database
from runner.contract.settings import DEFAULT_SOURCE, Settings

INVENTORY_EVERY_US: Final = 600_000_000
"""How often every blob is compared with the recorded one, and not only what a diff names."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the remote said: the commit that is there, and fetched; or why it cannot be told."""

    commit: str = ""
    error: errors.SourceError | None = None
    tag: str = ""
    """The tag that a range of versions led to."""


class Reconciler(Repository):
    """Makes passes over one repository of the settings; keeps its mirror between them."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        name: str = DEFAULT_SOURCE,
        ref: str | None = None,
        git: GitSource | None = None,
        *,
        cancel: Cancel | None = None,
    ) -> None:
        super().__init__(settings, database, name, ref, git)
        self._cancel = cancel
        self._report = Report(self._conditions, database)
        self._base: str | None = None  # The commit that this process applied or saw applied.
        self._rejected: str | None = None
        self._rejected_until_us: int | None = None
        self._inventory_at_us = 0

    def run(self, now_us: int, *, forced: bool = False) -> PassResult:
        """One pass; `forced` looks again at a rejected commit, and writes that it looked."""
        return self.follow(self.sight(), now_us, forced=forced)

    def sight(self) -> Sighting:
        """Ask the remote and fetch what is new. The slow half of a pass: no database."""
        try:
            found = self._git.find()
            if found.commit not in (self._base, self._rejected):
                self._git.fetch(found.commit)
        except errors.SourceError as error:
            return Sighting(error=error)
        return Sighting(found.commit, tag=found.name)

    def follow(self, sighting: Sighting, now_us: int, *, forced: bool = False) -> PassResult:
        """Make the recorded state follow what was sighted."""
        control = self._control()
        try:
            if control.suspended_at is not None:
                raise errors.SourceSuspended(control.why)
            if sighting.error is not None:
                raise sighting.error
            self._named(sighting.tag)
            forced = forced or control.asked
            result = self._follow(
                sighting.commit, now_us, forced, trigger.of(control, clock.boot_us())
            )
        except errors.SourceSuspended:
            self._rejected = None
            result = self._report.suspended(self._control(), now_us)
        except (errors.SourceError, errors.PlanStale) as error:
            self._rejected = self._base = None
            result = self._report.failed(error, now_us, forced=forced or control.asked)
        self._answer(control)
        return result

    def _follow(self, commit: str, now_us: int, forced: bool, led_to: Trigger) -> PassResult:
        state = self._conditions.state()
        if self._known(commit, state, now_us, forced):
            return self._unchanged(commit, now_us, forced)
        if (bad := self._put_back(commit, state)) is not None:
            return self._report.failed_before(bad, now_us, forced=forced)
        scope = self._scope(state, now_us)
        seen = preview.preview(self.place, commit, state, scope, now_us=now_us)
        self._note(seen)
        if seen.plan is None or seen.plan.blocked:
            result = self._report.rejected(seen, now_us, led_to)
            self._rejected, self._rejected_until_us = seen.commit, result.until_us
            return result
        if commit != self._base:
            # Before the apply: killed between the two, we would leave an applied commit that
            # the next fetch lets go of. A pin too many costs a line.
            self._git.pin(commit)
        if self._differs(seen.plan, state):
            result = self._apply(seen.plan, now_us, led_to)
        else:
            result = self._unchanged(commit, now_us, forced)
        self._base, self._rejected = commit, None
        if scope is not Scope.CHANGES:
            self._inventory_at_us = now_us
        return result

    def _note(self, seen: Preview) -> None:
        """Keep since when a drained change waits, so that it waits no longer than it may."""
        with self._database.read() as connection:
            kept = in_flight_rows.draining(connection, self.name)
        if kept or seen.awaited:
            with self._database.write() as connection:
                in_flight_rows.note(connection, self.name, seen.awaited)

    def retry(self) -> bool:
        """Forget that a commit was rejected; whether one was. Its reason may be gone."""
        rejected, self._rejected = self._rejected, None
        return rejected is not None

    def apply(self, planned: Plan, now_us: int, actor: str = "") -> PassResult:
        """Carry out a plan that `preview` made; PlanStale, PlanBlocked."""
        assert planned.target.commit is not None
        began_us = clock.boot_us()
        led_to = Trigger(cause=Cause.PLAN, actor=actor, began_us=began_us)
        self._git.pin(planned.target.commit)
        return self._apply(planned, now_us, led_to)

    def maintain(self) -> None:
        """Keep the mirror quick to read; what fails here is found by the next pass."""
        with contextlib.suppress(errors.SourceError):
            self._git.maintain()

    def report(self, reason: str, message: str, now_us: int) -> None:
        """Record an error that nobody foresaw, so that the status shows it."""
        self._rejected = self._base = None
        state = self._conditions.saying(RECONCILING, reason, message)
        self._conditions.write(state, now_us, forced=True)  # Somebody may wait for this look.
        self._answer(self._control())

    def _control(self) -> Control:
        with self._database.read() as connection:
            return controls.control(connection, self.name)

    def _answer(self, control: Control) -> None:
        """Say that the look somebody asked for is over."""
        if not control.asked:
            return
        with self._database.write() as connection:
            controls.handled(connection, self.name, control.request_token)

    # What is known already.

    def _known(self, commit: str, state: SourceState | None, now_us: int, forced: bool) -> bool:
        if commit == self._rejected:
            until_us = self._rejected_until_us
            return not forced and (until_us is None or now_us < until_us)
        return (
            state is not None
            and commit == state.applied_commit == self._base
            and state.settings_digest == self.digest
            and now_us - self._inventory_at_us < INVENTORY_EVERY_US
        )

    def _scope(self, state: SourceState | None, now_us: int) -> Scope:
        if state is None or state.applied_commit is None:
            return Scope.EVERYTHING
        if state.settings_digest != self.digest:
            return Scope.EVERYTHING
        due = now_us - self._inventory_at_us >= INVENTORY_EVERY_US
        return Scope.INVENTORY if due or self._base != state.applied_commit else Scope.CHANGES

    def _put_back(self, commit: str, state: SourceState | None) -> Canary | None:
        """The canary that a commit failed, if it is not what is applied."""
        if state is None or state.applied_commit == commit:
            return None
        with self._database.read() as connection:
            return canary.failed(connection, self.name, commit)

    def _differs(self, planned: Plan, state: SourceState | None) -> bool:
        """Whether there is anything to write."""
        if state is None or planned.target.commit != state.applied_commit:
            return True
        changed = planned.changes or planned.relocated
        return bool(changed) or state.settings_digest != self.digest

    def _unchanged(self, commit: str, now_us: int, forced: bool) -> PassResult:
        rejected = commit == self._rejected
        self._rejected = commit if rejected else None
        return self._report.unchanged(commit, now_us, rejected=rejected, forced=forced)

    def _apply(self, planned: Plan, now_us: int, led_to: Trigger) -> PassResult:
        done = apply.apply(
            self._database,
            planned,
            now_us,
            lambda old: self._report.applied(old, planned, self.digest, now_us),
            cancel=self._cancel,
            trigger=led_to,
        )
        return PassResult(
            outcome=Outcome.APPLIED,
            commit=planned.target.commit,
            plan=planned,
            problems=planned.warnings,
            tasks=done.tasks,
        )
