"""How a pass ended: as a value for the loop, in the row of the repository, and as an event."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from reconciler import canary, recorded
from reconciler.canary_rows import Canary
from reconciler.change import Block, Plan, Target
from reconciler.condition import READY, RECONCILING, STALLED, Conditions
from reconciler.control import Control
from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.history import history
from reconciler.history.trigger import Result, Trigger
from reconciler.preview import Preview
from reconciler.problem import Problem
from reconciler.recorded import SourceState
from reconciler.resource import git_owner
from runner.contract import audit, errors
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

SUSPENDED: Final = "Suspended"
"""The reason of a repository that a person stopped."""


PROBLEMS_KEPT: Final = 100


class Outcome(StrEnum):
    """How a pass ended."""

    UNCHANGED = "unchanged"
    """The commit was known already."""
    APPLIED = "applied"
    """The recorded state follows the commit now."""
    REJECTED = "rejected"
    """The commit has problems or is blocked; the last good state stays."""
    SUSPENDED = "suspended"
    """A person stopped the repository from being applied."""
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
    blocks: tuple[Block, ...] = ()
    tasks: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it was stopped by what goes away by itself, such as a freeze."""
        return bool(self.blocks) and all(item.until_us is not None for item in self.blocks)

    @property
    def until_us(self) -> int | None:
        """When the first of what stopped it goes away by itself, microseconds UTC."""
        moments = [item.until_us for item in self.blocks if item.until_us is not None]
        return min(moments, default=None)


class Report:
    """Says how the passes over one repository end."""

    def __init__(self, conditions: Conditions, database: Database) -> None:
        self._conditions = conditions
        self._database = database

    def unchanged(
        self, commit: str, now_us: int, *, rejected: bool, forced: bool
    ) -> PassResult:
        """The commit was known; what was `rejected` of it stays as it was said."""
        old = state = self._conditions.state()
        if not rejected:
            # What was rejected meanwhile is not what the ref names any more.
            with self._database.read() as connection:
                waits = canary.standing(connection, self._conditions.name, commit)
            state = self._conditions.saying(*(waits or (READY, "Applied", "")))
            state = replace(state, attempted_commit=commit)
        if state is not None:
            if old is not None and old.condition != state.condition == READY:
                self._recovered(state, old, now_us)  # First: killed in between, it comes again.
            self._conditions.write(state, now_us, forced=forced)
        return PassResult(outcome=Outcome.UNCHANGED, commit=commit)

    def failed_before(self, bad: Canary, now_us: int, *, forced: bool) -> PassResult:
        """The commit failed its canary: it stays put back until there is another."""
        state = self._conditions.saying(STALLED, canary.FAILED, bad.message)
        state = replace(state, attempted_commit=bad.commit)
        self._conditions.write(state, now_us, forced=forced)
        return PassResult(outcome=Outcome.UNCHANGED, commit=bad.commit)

    def applied(
        self, old: SourceState | None, planned: Plan, settings_digest: str, now_us: int
    ) -> SourceState:
        """The row once the plan is applied."""
        fresh = self._conditions.fresh()
        return replace(
            old or fresh,
            url=fresh.url,
            ref=fresh.ref,
            path=fresh.path,
            settings_digest=settings_digest,
            applied_commit=planned.target.commit,
            applied_tree=planned.target.tree,
            attempted_commit=planned.target.commit,
            condition=READY,
            reason="Applied",
            message="",
            problems=_kept(planned.warnings),
            checked_at=now_us,
            applied_at=now_us,
        )

    def rejected(
        self, seen: Preview, now_us: int, trigger: Trigger | None = None
    ) -> PassResult:
        """The commit has problems or is blocked; the first time, that goes into the log.

        An event tells also of another reason for the same commit: a freeze is over, say, and
        now a person has to approve.
        """
        blocks = seen.blocks or (seen.plan.blocked if seen.plan else ())
        reason = blocks[0].reason if blocks else "ManifestInvalid"
        message = "; ".join(map(str, blocks)) or _in_words(seen.problems)
        result = PassResult(
            outcome=Outcome.REJECTED,
            commit=seen.commit,
            plan=seen.plan,
            problems=seen.problems,
            blocks=blocks,
        )
        old = self._conditions.state()
        state = self._conditions.saying(
            RECONCILING if result.waits else STALLED, reason, message
        )
        first = seen.commit not in (state.attempted_commit, state.applied_commit)
        state = replace(
            state,
            attempted_commit=seen.commit,
            problems=_kept(seen.problems),
            checked_at=now_us,
        )
        entry = Entry(
            type=EntryType.MANIFEST_REJECTED,
            actor=git_owner(state.name),
            commit=seen.commit,
            reason=f"{reason}: {message}",
        )
        # A plan that is blocked waits for a person or a window; without one the commit is bad.
        waits = result.waits or seen.plan is not None
        severity = EventSeverity.WARNING if waits else EventSeverity.ERROR
        with self._database.write() as connection:
            recorded.put_source(connection, state)
            if first:
                audit.append(connection, [entry], now_us)
            if first or old is None or old.reason != reason:
                event = _event(state, severity, seen.commit)
                events.record(connection, event, now_us)
                trigger = replace(trigger or Trigger(), message=f"{reason}: {message}")
                ending = Result.BLOCKED if blocks else Result.REJECTED
                refused = seen.plan or _nothing(seen, state)
                history.refuse(connection, refused, trigger, ending, now_us)
        return result

    def _recovered(self, state: SourceState, old: SourceState, now_us: int) -> None:
        message = f"the repository is followed again after {old.reason}"
        event = _event(state, EventSeverity.INFO, state.applied_commit)
        with self._database.write() as connection:
            events.record(
                connection, replace(event, reason="Recovered", message=message), now_us
            )

    def suspended(self, control: Control, now_us: int) -> PassResult:
        """A person stopped it; what was applied stays."""
        state = self._conditions.saying(STALLED, SUSPENDED, control.why)
        self._conditions.write(state, now_us, forced=control.asked)
        return PassResult(outcome=Outcome.SUSPENDED, commit=state.applied_commit)

    def failed(self, error: errors.OrlojError, now_us: int, *, forced: bool) -> PassResult:
        """The repository could not be read, or the state moved meanwhile."""
        condition = STALLED if isinstance(error, errors.SourceStalled) else RECONCILING
        reason = error.reason if isinstance(error, errors.SourceError) else "PlanStale"
        old = self._conditions.state()
        state = self._conditions.saying(condition, reason, str(error))
        self._conditions.write(state, now_us, forced=forced)
        if old is None or (old.reason, old.message) != (reason, str(error)):
            severity = EventSeverity.ERROR if condition == STALLED else EventSeverity.WARNING
            with self._database.write() as connection:
                events.record(connection, _event(state, severity, None), now_us)
        return PassResult(outcome=Outcome.FAILED, error=error)


def _nothing(seen: Preview, state: SourceState) -> Plan:
    """A plan without a change, for a commit that has none."""
    target = Target(
        owner=git_owner(state.name),
        source=state.name,
        ref=state.ref,
        commit=seen.commit,
        previous_commit=state.applied_commit,
    )
    return Plan(
        id="",
        target=target,
        changes=(),
        unchanged=0,
        warnings=seen.problems,
        blocked=seen.blocks,
    )


def _event(state: SourceState, severity: EventSeverity, commit: str | None) -> Event:
    return Event(
        source=state.name,
        severity=severity,
        reason=state.reason,
        message=state.message,
        commit=commit,
    )


def _in_words(problems: tuple[Problem, ...]) -> str:
    first = str(problems[0])
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"


def _kept(problems: Sequence[Problem]) -> str:
    """Problems as the source row keeps them: not the lines of text, which may hold secrets."""
    rows = [
        {
            "path": problem.path,
            "line": problem.line,
            "column": problem.column,
            "message": problem.message,
            "hint": problem.hint,
            "severity": problem.severity.value,
        }
        for problem in problems[:PROBLEMS_KEPT]
    ]
    return json.dumps(rows, ensure_ascii=False)
