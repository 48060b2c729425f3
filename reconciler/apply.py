"""Carry out a plan: one transaction for everything, so that a crash leaves all or nothing.

    check commit, serial + 1 ─> resources ─> references ─> sealed secrets ─> revision
        ─> source ─> tasks cancelled ─> audit entries ─> tasks ─> commit ─> wake the runner

Nothing is read from Git here and nothing is decided: a plan that no longer fits is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from reconciler import canary, control, in_flight_rows, recorded, resource_rows
from reconciler.change import Action, Plan, Target
from reconciler.evaluation import beginning
from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.history import history
from reconciler.history.trigger import Cause, Trigger
from reconciler.in_flight import Cancel
from reconciler.recorded import SourceState
from reconciler.trust import record
from runner.contract import audit, audit_entry, errors, submission, wake
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database
from runner.contract.kinds import Key, Task, spec_of
from runner.contract.settings import DEFAULT_SOURCE
from runner.contract.submission import Submission

_REVISION: Final = (
    "INSERT INTO revision (source, commit_sha, previous_commit, fast_forward, plan_id, serial,"
    " author, committer, subject, created, updated, deleted, applied_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TYPES: Final = {
    Action.CREATE: EntryType.RESOURCE_CREATED,
    Action.UPDATE: EntryType.RESOURCE_UPDATED,
    Action.DELETE: EntryType.RESOURCE_DELETED,
    Action.MOVE: EntryType.RESOURCE_MOVED,
}


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply left behind: the new serial, and the tasks it queued and cancelled."""

    serial: int
    tasks: tuple[str, ...]
    cancelled: tuple[str, ...] = ()


def apply(
    database: Database,
    planned: Plan,
    now_us: int,
    source: Callable[[SourceState | None], SourceState] | None = None,
    *,
    cancel: Cancel | None = None,
    trigger: Trigger | None = None,
    also: Callable[[Connection], None] | None = None,
) -> Applied:
    """
    Make the recorded state what the plan says, durable when this returns.

    `source` gives the new state of the repository from the old; None for a person's plan.
    `cancel` ends the tasks in flight that a change says are not to go on. `trigger` is what
    led to it, for the history; `also` is done in the same transaction.
    PlanBlocked when something forbids it; PlanStale when the commit or the state is no longer
    the one it was made for; SourceSuspended when somebody suspended the repository meanwhile.
    """
    _refuse_unfit(planned)
    trigger = trigger or Trigger(cause=Cause.HAND if source is None else Cause.PUSH)
    explained = history.prepared(planned)
    with database.write() as connection:
        in_flight_rows.hold(connection, planned.changes)
        before = recorded.source(connection, planned.target.source or DEFAULT_SOURCE)
        _refuse_stale(connection, planned, before)
        if source is not None:
            _refuse_suspended(connection, planned.target.source)
        resource_rows.write(connection, planned, now_us)
        if source is not None:
            _write_source(connection, planned, trigger, source(before), now_us)
        commit = planned.target.commit or (before and before.applied_commit)
        commit = commit or audit_entry.NO_COMMIT
        about = {"actor": planned.target.owner, "commit": commit}
        cancelled = in_flight_rows.cancel(
            connection, planned.changes, cancel, **about, now_us=now_us
        )
        entries = list(_entries(planned, commit, trigger))
        end = audit.append(connection, entries, now_us)
        first = end[0] - len(entries) + 1 if end else None
        number = history.write(connection, explained, trigger, audit_seq=first, now_us=now_us)
        tasks = _queue(connection, planned, trigger, (commit, number), now_us)
        if also is not None:
            also(connection)
    if tasks or cancelled:
        database.knock(wake.RUNNER)
    return Applied(planned.target.serial + 1, tuple(tasks), tuple(cancelled))


def _refuse_unfit(planned: Plan) -> None:
    if planned.partial:
        raise errors.PlanBlocked("the plan shows only a part; a commit is applied whole")
    if planned.blocked:
        raise errors.PlanBlocked("; ".join(map(str, planned.blocked)))


def _write_source(
    connection: Connection, planned: Plan, trigger: Trigger, state: SourceState, now_us: int
) -> None:
    """Write what a repository's apply leaves besides its resources."""
    _write_revision(connection, planned, now_us)
    recorded.put_source(connection, state)
    for event in _events(planned, trigger):
        events.record(connection, event, now_us)
    in_flight_rows.note(connection, planned.target.source, ())


def _queue(
    connection: Connection,
    planned: Plan,
    trigger: Trigger,
    revision: tuple[str, int],
    now_us: int,
) -> list[str]:
    """Queue the work that the plan asks for, and the canary of its revision first."""
    if _goes_back(trigger):
        return []  # What comes back with an earlier revision has run already.
    commit, number = revision
    work, tasks = _tasks(planned), list[str]()
    if planned.target.source:
        work, tasks = canary.begin(connection, planned, number, work, now_us)
    beginning.queue(connection, planned, commit, now_us)
    return tasks + submission.submit(connection, [item for _, item in work], commit, now_us)


def counted(planned: Plan) -> str:
    """The counts in words, as the log keeps them."""
    counts = planned.counts
    moved = f", {counts[Action.MOVE]} moved" if counts[Action.MOVE] else ""
    return (
        f"{counts[Action.CREATE]} created, {counts[Action.UPDATE]} updated,"
        f" {counts[Action.DELETE]} deleted{moved}"
    )


def _events(planned: Plan, trigger: Trigger) -> Iterator[Event]:
    target = planned.target
    if not target.fast_forward:
        yield Event(
            source=target.source,
            severity=EventSeverity.WARNING,
            reason="HistoryRewritten",
            message=f"{_rewritten(target)}; what was applied before stays readable",
            commit=target.commit,
        )
    yield Event(
        source=target.source,
        severity=EventSeverity.INFO,
        reason="Reverted" if _goes_back(trigger) else "Applied",
        message=f"{counted(planned)}: {target.subject}",
        commit=target.commit,
    )


def _refuse_stale(connection: Connection, planned: Plan, before: SourceState | None) -> None:
    target = planned.target
    if not recorded.advance(connection, target.serial):
        serial = recorded.serial(connection)
        raise errors.PlanStale(
            f"plan {planned.short_id} was made for state #{target.serial},"
            f" and the state is #{serial} now; run orloj plan again"
        )
    applied = before.applied_commit if before else None
    if target.commit is not None and applied != target.previous_commit:
        raise errors.PlanStale(
            f"plan {planned.short_id} starts from commit {target.previous_commit},"
            f" and {applied} is applied now; run orloj plan again"
        )


def _refuse_suspended(connection: Connection, name: str) -> None:
    standing = control.locked(connection, name)
    if standing.suspended_at is not None:
        raise errors.SourceSuspended(f"repository {name}: {standing.why}")


def _write_revision(connection: Connection, planned: Plan, now_us: int) -> None:
    target, counts = planned.target, planned.counts
    connection.exec_driver_sql(
        _REVISION,
        (target.source, target.commit, target.previous_commit, target.fast_forward)
        + (planned.id, target.serial + 1, target.author, target.committer, target.subject)
        # A move changes one resource: it counts as an update, and the log names both names.
        + (counts[Action.CREATE], counts[Action.UPDATE] + counts[Action.MOVE])
        + (counts[Action.DELETE], now_us),
    )
    record.write(connection, target, target.serial + 1)


def _goes_back(trigger: Trigger) -> bool:
    return trigger.cause is Cause.CANARY


def _entries(planned: Plan, commit: str, trigger: Trigger) -> Iterator[Entry]:
    target, back = planned.target, _goes_back(trigger)
    yield Entry(
        type=EntryType.MANIFEST_REVERTED if back else EntryType.MANIFEST_APPLIED,
        actor=target.owner,
        commit=commit,
        digest=planned.id,
        outcome=counted(planned),
        reason=trigger.message if back else _remarks(planned),
        private=_private(target),
    )
    for change in planned.changes:
        place = change.after or change.before
        assert place is not None
        yield Entry(
            type=_TYPES[change.action],
            actor=target.owner,
            commit=commit,
            resource=str(change.key),
            digest=place.spec_hash,
            rule=f"{place.path}:{place.line}",
            reason=change.reason,
            outcome=str(change.previous) if change.previous else None,
        )
    for finding in planned.widenings:
        yield Entry(
            type=EntryType.MANIFEST_WIDENED,
            actor=target.owner,
            commit=commit,
            resource=str(finding.resource),
            rule=finding.place,
            reason=finding.sentence,
        )


def _private(target: Target) -> tuple[tuple[str, Any], ...]:
    """Who wrote, signed and reviewed it: what may have to be erased one day."""
    if not target.author:
        return ()
    found = target.provenance
    more = (
        *(("signer", found.signer), ("reviewers", list(found.reviewers))),
        ("trailers", [list(pair) for pair in found.trailers]),
    )
    known = tuple(pair for pair in more if pair[1])
    return (("author", target.author), ("committer", target.committer), *known)


def _rewritten(target: Target) -> str:
    return f"the history was rewritten: {target.previous_commit} is no ancestor"


def _remarks(planned: Plan) -> str | None:
    """What a reader of the log should know of the plan besides its counts."""
    target, widened = planned.target, planned.widenings
    remarks = [finding.sentence for finding in widened if finding.loud]
    if not target.fast_forward:
        remarks.insert(0, _rewritten(target))
    if target.provenance.key:
        remarks.append(f"signature {target.provenance.signature}, {target.provenance.key}")
    if widened:
        remarks.append(f"{len(widened)} permissions widened")
    return "; ".join(remarks) or None


def _tasks(planned: Plan) -> list[tuple[Key, Submission]]:
    """The work that new or changed Task manifests in mode `run` ask for."""
    return [
        (change.key, submission.of_task(change.after.key, spec, planned.target.owner))
        for change in planned.changes
        if change.key.kind == "Task" and change.after is not None and change.respecified
        if isinstance(spec := spec_of("Task", change.after.body), Task) and spec.mode == "run"
    ]
