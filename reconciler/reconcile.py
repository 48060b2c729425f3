"""One pass: look at the repository, and make the recorded state follow it.

    resolve ──same commit──> unchanged
       └─> fetch ─> load ─> check ─> plan ─> apply ─> applied
             │        └── any problem ──> rejected: the last good state stays
             └── remote, ref or tree gone ──> failed: nothing is ever deleted for it

A commit that was rejected is not looked at again until there is another, or somebody asks.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler import apply, manifest, preview
from reconciler import control as controls
from reconciler.change import Plan
from reconciler.condition import RECONCILING, Conditions
from reconciler.control import Control
from reconciler.desired import Loader, Scope
from reconciler.git import address as git_address
from reconciler.git.source import GitSource
from reconciler.preview import Place, Preview
from reconciler.recorded import SourceState
from reconciler.report import Outcome, PassResult, Report
from reconciler.resource import Resource, git_owner
from reconciler.trust.verdict import Inspection
from runner.contract import audit_entry, clock, errors, kinds, seal
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.settings import DEFAULT_SOURCE, Settings
from runner.contract.source_settings import Source

INVENTORY_EVERY_US: Final = 600_000_000
"""How often every blob is compared with the recorded one, and not only what a diff names."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the remote said: the commit that is there, and fetched; or why it cannot be told."""

    commit: str = ""
    error: errors.SourceError | None = None


class Reconciler:
    """Makes passes over one repository of the settings; keeps its mirror between them."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        name: str = DEFAULT_SOURCE,
        ref: str | None = None,
    ) -> None:
        source = settings.followed.get(name)
        if source is None:
            raise errors.SettingsInvalid(source_unset(settings, name))
        self.name = name
        self._database = database
        self._conditions = Conditions(name, source, database)
        self._report = Report(self._conditions, database)
        self._git = GitSource(
            *(source.url, ref or source.ref, source.path),
            *(mirror_folder(settings, name), source.timeout_s),
        )
        owner = git_owner(name)
        self._place = Place(
            git=self._git,
            loader=Loader(self._git, database, seal.sealer(settings.home), owner),
            database=database,
            owner=owner,
            source=name,
            ref=ref or source.ref,
            settings=source,
        )
        self._digest = _settings_digest(source)
        self._base: str | None = None  # The commit that this process applied or saw applied.
        self._rejected: str | None = None
        self._inventory_at_us = 0

    def run(self, now_us: int, *, forced: bool = False) -> PassResult:
        """One pass; `forced` looks again at a rejected commit, and writes that it looked."""
        return self.follow(self.sight(), now_us, forced=forced)

    def sight(self) -> Sighting:
        """Ask the remote and fetch what is new. The slow half of a pass: no database."""
        try:
            commit = self._git.resolve()
            if commit not in (self._base, self._rejected):
                self._git.fetch(commit)
        except errors.SourceError as error:
            return Sighting(error=error)
        return Sighting(commit)

    def follow(self, sighting: Sighting, now_us: int, *, forced: bool = False) -> PassResult:
        """Make the recorded state follow what was sighted."""
        control = self._control()
        if control.suspended_at is not None:
            result = self._report.suspended(control, now_us)
            self._rejected = None
            self._answer(control)
            return result
        try:
            if sighting.error is not None:
                raise sighting.error
            result = self._follow(sighting.commit, now_us, forced or control.asked)
        except (errors.SourceError, errors.PlanStale) as error:
            self._rejected = self._base = None
            result = self._report.failed(error, now_us, forced=forced or control.asked)
        self._answer(control)
        return result

    def _follow(self, commit: str, now_us: int, forced: bool) -> PassResult:
        state = self._conditions.state()
        if self._known(commit, state, now_us, forced):
            return self._unchanged(commit, now_us, forced)
        scope = self._scope(state, now_us)
        seen = preview.preview(self._place, commit, state, scope, now_us=now_us)
        if seen.plan is None or seen.plan.blocked:
            result = self._report.rejected(seen, now_us)
            self._rejected = None if result.waits else seen.commit
            return result
        if commit != self._base:
            # Before the apply: killed between the two, we would leave an applied commit that
            # the next fetch lets go of. A pin too many costs a line.
            self._git.pin(commit)
        result = self._carry_out(seen.plan, state, now_us, forced)
        self._base, self._rejected = commit, None
        if scope is not Scope.CHANGES:
            self._inventory_at_us = now_us
        return result

    def retry(self) -> bool:
        """Forget that a commit was rejected; whether one was. Its reason may be gone."""
        rejected, self._rejected = self._rejected, None
        return rejected is not None

    def resolve(self) -> str:
        """The commit that the ref names now; SourceError."""
        return self._git.resolve()

    def declared(self, commit: str) -> tuple[str, Mapping[Key, Resource]]:
        """A commit by its hash or the beginning of it, and all it declares; SourceError."""
        found = self._git.named(commit)
        with self._database.read() as connection:
            return found, self._place.loader.everything(connection, found)

    def preview(self, commit: str | None = None) -> Preview:
        """What a pass would do now, or at a commit; writes only the blob cache. SourceError."""
        commit = commit or self._git.resolve()
        self._git.fetch(commit)
        state = self._conditions.state()
        usable = (
            state is not None
            and state.settings_digest == self._digest
            and state.applied_commit is not None
            and self._git.has(state.applied_commit)
        )
        scope = Scope.CHANGES if usable else Scope.EVERYTHING
        now_us = clock.now_us()
        return preview.preview(self._place, commit, state, scope, now_us=now_us)

    def inspect(self, commit: str | None, *, whole: bool) -> Inspection:
        """How the commits are signed that a pass would follow now; SourceError."""
        named = self._git.named(commit) if commit else self._git.resolve()
        self._git.fetch(named)
        state = self._conditions.state()
        previous = state.applied_commit if state else None
        return preview.inspect(self._place, named, previous, whole=whole)

    def apply(self, planned: Plan, now_us: int) -> PassResult:
        """Carry out a plan that `preview` made; PlanStale, PlanBlocked."""
        assert planned.target.commit is not None
        self._git.pin(planned.target.commit)
        return self._apply(planned, now_us)

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
            return not forced
        return (
            state is not None
            and commit == state.applied_commit == self._base
            and state.settings_digest == self._digest
            and now_us - self._inventory_at_us < INVENTORY_EVERY_US
        )

    def _scope(self, state: SourceState | None, now_us: int) -> Scope:
        if state is None or state.applied_commit is None:
            return Scope.EVERYTHING
        if state.settings_digest != self._digest:
            return Scope.EVERYTHING
        due = now_us - self._inventory_at_us >= INVENTORY_EVERY_US
        return Scope.INVENTORY if due or self._base != state.applied_commit else Scope.CHANGES

    def _carry_out(
        self, planned: Plan, state: SourceState | None, now_us: int, forced: bool
    ) -> PassResult:
        commit = planned.target.commit
        assert commit is not None
        moved = state is None or commit != state.applied_commit
        changed = moved or planned.changes or planned.relocated
        if changed or (state and state.settings_digest != self._digest):
            return self._apply(planned, now_us)
        return self._unchanged(commit, now_us, forced)

    def _unchanged(self, commit: str, now_us: int, forced: bool) -> PassResult:
        rejected = commit == self._rejected
        self._rejected = commit if rejected else None
        return self._report.unchanged(commit, now_us, rejected=rejected, forced=forced)

    def _apply(self, planned: Plan, now_us: int) -> PassResult:
        done = apply.apply(
            self._database,
            planned,
            now_us,
            lambda old: self._report.applied(old, planned, self._digest, now_us),
        )
        return PassResult(
            outcome=Outcome.APPLIED,
            commit=planned.target.commit,
            plan=planned,
            problems=planned.warnings,
            tasks=done.tasks,
        )


def mirror_folder(settings: Settings, name: str) -> Path:
    """Where the mirror of a repository is kept."""
    return settings.home / "git" if name == DEFAULT_SOURCE else settings.home / "git.of" / name


def source_unset(settings: Settings, name: str = DEFAULT_SOURCE) -> str:
    """What to do where no repository of that name is to be followed."""
    if name != DEFAULT_SOURCE:
        known = ", ".join(settings.followed) or "none"
        return f"there is no repository {name} in {settings.home}/orloj.toml; there: {known}"
    return (
        f"source.url is not set: put url under [source] in {settings.home}/orloj.toml,"
        " or set ORLOJ_SOURCE_URL"
    )


def _settings_digest(source: Source) -> str:
    """What decides the meaning of a commit: change it, and every file is read again."""
    url = git_address.plain(source.url)  # Another password makes no other repository.
    parts = [url, source.ref, source.path, manifest.parser_version()]
    return kinds.digest(audit_entry.canonical(parts))
