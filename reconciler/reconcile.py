"""One pass: look at the repository, and make the recorded state follow it.

    resolve ──same commit──> unchanged
       └─> fetch ─> load ─> check ─> plan ─> apply ─> applied
             │        └── any problem ──> rejected: the last good state stays
             └── remote, ref or tree gone ──> failed: nothing is ever deleted for it

A commit that was rejected is not looked at again until there is another, or somebody asks.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from reconciler import apply, manifest, preview, recorded
from reconciler.change import Plan
from reconciler.condition import READY, STALLED, WAITING, Conditions
from reconciler.desired import Loader, Scope
from reconciler.git import address as git_address
from reconciler.git.source import GitSource
from reconciler.preview import Place, Preview
from reconciler.problem import Problem
from reconciler.recorded import SOURCE, SourceState
from reconciler.resource import Resource, git_owner
from runner.contract import audit, audit_entry, clock, errors, kinds, seal
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.settings import Settings

INVENTORY_EVERY_US: Final = 600_000_000
"""How often every blob is compared with the recorded one, and not only what a diff names."""


class Outcome(StrEnum):
    """How a pass ended."""

    UNCHANGED = "unchanged"
    """The commit was known already."""
    APPLIED = "applied"
    """The recorded state follows the commit now."""
    REJECTED = "rejected"
    """The commit has problems or is blocked; the last good state stays."""
    FAILED = "failed"
    """The repository could not be read, or the state moved meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """What a pass did: a plan where one was made, problems where a commit has some."""

    outcome: Outcome
    commit: str | None = None
    plan: Plan | None = None
    problems: tuple[Problem, ...] = ()
    error: errors.OrlojError | None = None
    tasks: tuple[str, ...] = ()


class Reconciler:
    """Makes passes over the repository of the settings; keeps its mirror between them."""

    def __init__(self, settings: Settings, database: Database, ref: str | None = None) -> None:
        source = settings.source
        if not source.url:
            raise errors.SettingsInvalid(source_unset(settings))
        self._settings = settings
        self._database = database
        self._conditions = Conditions(source, database)
        self._git = GitSource(
            *(source.url, ref or source.ref, source.path),
            *(settings.home / "git", source.timeout_s),
        )
        owner = git_owner(SOURCE)
        self._place = Place(
            git=self._git,
            loader=Loader(self._git, database, seal.sealer(settings.home), owner),
            database=database,
            owner=owner,
            source=SOURCE,
            ref=ref or source.ref,
        )
        self._digest = _settings_digest(settings)
        self._base: str | None = None  # The commit that this process applied or saw applied.
        self._rejected: str | None = None
        self._inventory_at_us = 0

    def run(self, now_us: int, *, forced: bool = False) -> PassResult:
        """One pass; `forced` looks again at a rejected commit, and writes that it looked."""
        try:
            commit = self._git.resolve()
            state = self._conditions.state()
            if self._known(commit, state, now_us, forced):
                return self._unchanged(commit, now_us, forced)
            self._git.fetch(commit)
            scope = self._scope(state, now_us)
            seen = preview.preview(self._place, commit, state, scope, now_us=now_us)
            if seen.plan is None or seen.plan.blocked:
                return self._reject(seen, now_us)
            result = self._follow(seen.plan, state, now_us, forced)
            self._git.pin(commit)
        except (errors.SourceError, errors.PlanStale) as error:
            return self._failed(error, now_us, forced)
        self._base, self._rejected = commit, None
        if scope is not Scope.CHANGES:
            self._inventory_at_us = now_us
        return result

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
        return preview.preview(self._place, commit, state, scope, now_us=now_us, counted=True)

    def apply(self, planned: Plan, now_us: int) -> PassResult:
        """Carry out a plan that `preview` made; PlanStale, PlanBlocked."""
        assert planned.target.commit is not None
        result = self._apply(planned, now_us)
        self._git.pin(planned.target.commit)
        return result

    def maintain(self) -> None:
        """Keep the mirror quick to read; what fails here is found by the next pass."""
        with contextlib.suppress(errors.SourceError):
            self._git.maintain()

    def report(self, reason: str, message: str, now_us: int) -> None:
        """Record an error that nobody foresaw, so that the status shows it."""
        self._rejected = None
        state = self._conditions.saying(WAITING, reason, message)
        self._conditions.write(state, now_us, forced=True)  # Somebody may wait for this look.

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

    # How a pass ends.

    def _unchanged(self, commit: str, now_us: int, forced: bool) -> PassResult:
        state = self._conditions.state()
        if commit != self._rejected:
            self._rejected = None
            # What was rejected meanwhile is not what the ref names any more.
            state = self._conditions.saying(READY, "Applied", "")
            state = replace(state, attempted_commit=commit)
        if state is not None:
            self._conditions.write(state, now_us, forced=forced)
        return PassResult(outcome=Outcome.UNCHANGED, commit=commit)

    def _follow(
        self, planned: Plan, state: SourceState | None, now_us: int, forced: bool
    ) -> PassResult:
        commit = planned.target.commit
        assert commit is not None
        moved = state is None or commit != state.applied_commit
        changed = moved or planned.changes or planned.relocated
        if changed or (state and state.settings_digest != self._digest):
            return self._apply(planned, now_us)
        return self._unchanged(commit, now_us, forced)

    def _apply(self, planned: Plan, now_us: int) -> PassResult:
        done = apply.apply(
            self._database,
            planned,
            now_us,
            lambda old: self._applied(old, planned, now_us),
        )
        return PassResult(
            outcome=Outcome.APPLIED,
            commit=planned.target.commit,
            plan=planned,
            problems=planned.warnings,
            tasks=done.tasks,
        )

    def _applied(self, old: SourceState | None, planned: Plan, now_us: int) -> SourceState:
        fresh = self._conditions.fresh()
        return replace(
            old or fresh,
            url=fresh.url,
            ref=fresh.ref,
            path=fresh.path,
            settings_digest=self._digest,
            applied_commit=planned.target.commit,
            applied_tree=planned.target.tree,
            attempted_commit=planned.target.commit,
            condition=READY,
            reason="Applied",
            message="",
            problems=recorded.problems_text(planned.warnings),
            checked_at=now_us,
            applied_at=now_us,
        )

    def _reject(self, seen: Preview, now_us: int) -> PassResult:
        blocked = seen.plan.blocked if seen.plan else ()
        reason = "PlanBlocked" if blocked else "ManifestInvalid"
        message = "; ".join(blocked) or _problems_in_words(seen.problems)
        state = self._conditions.saying(STALLED, reason, message)
        first = seen.commit not in (state.attempted_commit, state.applied_commit)
        state = replace(
            state,
            attempted_commit=seen.commit,
            problems=recorded.problems_text(seen.problems),
            checked_at=now_us,
        )
        entry = Entry(
            type=EntryType.MANIFEST_REJECTED,
            actor=self._place.owner,
            commit=seen.commit,
            reason=f"{reason}: {message}",
        )
        with self._database.write() as connection:
            recorded.put_source(connection, state)
            if first:
                audit.append(connection, [entry], now_us)
        self._rejected = seen.commit
        return PassResult(
            outcome=Outcome.REJECTED,
            commit=seen.commit,
            plan=seen.plan,
            problems=seen.problems,
        )

    def _failed(self, error: errors.OrlojError, now_us: int, forced: bool) -> PassResult:
        self._rejected = None
        condition = STALLED if isinstance(error, errors.SourceStalled) else WAITING
        reason = error.reason if isinstance(error, errors.SourceError) else "PlanStale"
        state = self._conditions.saying(condition, reason, str(error))
        self._conditions.write(state, now_us, forced=forced)
        return PassResult(outcome=Outcome.FAILED, error=error)


def source_unset(settings: Settings) -> str:
    """What to do where no repository is named."""
    return (
        f"source.url is not set: put url under [source] in {settings.home}/orloj.toml,"
        " or set ORLOJ_SOURCE_URL"
    )


def _settings_digest(settings: Settings) -> str:
    """What decides the meaning of a commit: change it, and every file is read again."""
    source = settings.source
    url = git_address.plain(source.url)  # Another password makes no other repository.
    parts = [url, source.ref, source.path, manifest.parser_version()]
    return kinds.digest(audit_entry.canonical(parts))


def _problems_in_words(problems: tuple[Problem, ...]) -> str:
    first = str(problems[0])
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"
