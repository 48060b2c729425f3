"""Carry out a plan: one transaction for everything, so that a crash leaves all or nothing.

    check commit, serial + 1 ─> resources ─> references ─> sealed secrets ─> revision
        ─> source ─> audit entries ─> tasks ─> commit ─> wake the runner

Nothing is read from Git here and nothing is decided: a plan that no longer fits is refused.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from reconciler import canary, events, history, recorded
from reconciler.change import Action, Change, Plan
from reconciler.events import Event, EventSeverity
from reconciler.recorded import SourceState
from reconciler.resource import Resource
from reconciler.trigger import Cause, Trigger
from runner.contract import audit, audit_entry, errors, submission, wake
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database
from runner.contract.kinds import Key, Task, spec_of
from runner.contract.settings import DEFAULT_SOURCE
from runner.contract.submission import Submission

_UPSERT: Final = (
    "INSERT INTO resource (namespace, kind, name, owner, commit_sha, path, line, blob,"
    " spec_hash, body, lines, generation, applied_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (namespace, kind, name) DO UPDATE SET owner = excluded.owner,"
    " commit_sha = excluded.commit_sha, path = excluded.path, line = excluded.line,"
    " blob = excluded.blob, spec_hash = excluded.spec_hash, body = excluded.body,"
    " lines = excluded.lines, generation = excluded.generation,"
    " applied_at = excluded.applied_at"
)
_RELOCATE: Final = (
    "UPDATE resource SET line = ?, blob = ?, lines = ?"
    " WHERE namespace = ? AND kind = ? AND name = ?"
)
_DELETE: Final = "DELETE FROM resource WHERE namespace = ? AND kind = ? AND name = ?"
_FORGET: Final = (
    "DELETE FROM reference WHERE from_namespace = ? AND from_kind = ? AND from_name = ?"
)
_REFER: Final = (
    "INSERT INTO reference (from_namespace, from_kind, from_name, to_namespace,"
    " to_kind, to_name, line, required) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (from_namespace, from_kind, from_name, to_namespace, to_kind, to_name)"
    " DO UPDATE SET line = excluded.line, required = excluded.required"
)
_SEAL: Final = (
    "INSERT INTO sealed_secret (digest, ciphertext) VALUES (?, ?) ON CONFLICT DO NOTHING"
)
_REVISION: Final = (
    "INSERT INTO revision (source, commit_sha, previous_commit, fast_forward, plan_id, serial,"
    " author, committer, subject, created, updated, deleted, applied_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TYPES: Final = {
    Action.CREATE: EntryType.RESOURCE_CREATED,
    Action.UPDATE: EntryType.RESOURCE_UPDATED,
    Action.DELETE: EntryType.RESOURCE_DELETED,
}


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply left behind: the new serial, and the tasks it queued."""

    serial: int
    tasks: tuple[str, ...]


def apply(
    database: Database,
    planned: Plan,
    now_us: int,
    source: Callable[[SourceState | None], SourceState] | None = None,
    *,
    trigger: Trigger | None = None,
    also: Callable[[Connection], None] | None = None,
) -> Applied:
    """
    Make the recorded state what the plan says, durable when this returns.

    `source` gives the new state of the repository from the old; None for a person's plan.
    `trigger` is what led to it, for the history; `also` is done in the same transaction.
    PlanBlocked when something forbids it; PlanStale when the commit or the state is no longer
    the one it was made for.
    """
    if planned.blocked:
        raise errors.PlanBlocked("; ".join(map(str, planned.blocked)))
    trigger = trigger or Trigger(cause=Cause.HAND if source is None else Cause.PUSH)
    explained = history.prepared(planned)
    with database.write() as connection:
        before = recorded.source(connection, planned.target.source or DEFAULT_SOURCE)
        _refuse_stale(connection, planned, before)
        _write_resources(connection, planned, now_us)
        if source is not None:
            _write_revision(connection, planned, now_us)
            recorded.put_source(connection, source(before))
            events.record(connection, _event(planned, trigger), now_us)
        commit = planned.target.commit or (before and before.applied_commit)
        commit = commit or audit_entry.NO_COMMIT
        entries = list(_entries(planned, commit, trigger))
        end = audit.append(connection, entries, now_us)
        first = end[0] - len(entries) + 1 if end else None
        number = history.write(connection, explained, trigger, audit_seq=first, now_us=now_us)
        # What comes back with an earlier revision has run already.
        work = [] if _goes_back(trigger) else _tasks(planned)
        tasks: list[str] = []
        if source is not None and not _goes_back(trigger):
            work, tasks = canary.begin(connection, planned, number, work, now_us)
        tasks += submission.submit(connection, [item for _, item in work], commit, now_us)
        if also is not None:
            also(connection)
    if tasks:
        database.knock(wake.RUNNER)
    return Applied(planned.target.serial + 1, tuple(tasks))


def counted(planned: Plan) -> str:
    """The counts in words, as the log keeps them."""
    counts = planned.counts
    return (
        f"{counts[Action.CREATE]} created, {counts[Action.UPDATE]} updated,"
        f" {counts[Action.DELETE]} deleted"
    )


def _event(planned: Plan, trigger: Trigger) -> Event:
    target = planned.target
    return Event(
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


def _write_resources(connection: Connection, planned: Plan, now_us: int) -> None:
    put = [change for change in planned.changes if change.after is not None]
    gone = [change.key for change in planned.changes if change.after is None]
    standing = [change.after for change in put if change.after] + list(planned.relocated)
    _many(connection, _UPSERT, (_row(planned, change, now_us) for change in put))
    _many(
        connection,
        _RELOCATE,
        ((item.line, item.blob, _lines(item), *item.key) for item in planned.relocated),
    )
    _many(connection, _DELETE, (tuple(key) for key in gone))
    _many(connection, _FORGET, (tuple(key) for key in [*gone, *(r.key for r in standing)]))
    _many(
        connection,
        _REFER,
        (
            (*item.key, *mention.target, mention.line, mention.required)
            for item in standing
            for mention in item.mentions
        ),
    )
    _many(connection, _SEAL, (pair for item in standing for pair in item.sealed))


def _row(planned: Plan, change: Change, now_us: int) -> tuple[Any, ...]:
    after = change.after
    assert after is not None
    generation = change.before.generation if change.before else 0
    return (
        (*after.key, planned.target.owner, planned.target.commit, after.path, after.line)
        + (after.blob, after.spec_hash, after.body, _lines(after))
        + (generation + change.respecified, now_us)
    )


def _lines(resource: Resource) -> str:
    return json.dumps(dict(resource.lines), separators=(",", ":"), ensure_ascii=False)


def _many(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    if listed := list(rows):
        connection.exec_driver_sql(statement, listed)


def _write_revision(connection: Connection, planned: Plan, now_us: int) -> None:
    target, counts = planned.target, planned.counts
    connection.exec_driver_sql(
        _REVISION,
        (target.source, target.commit, target.previous_commit, target.fast_forward)
        + (planned.id, target.serial + 1, target.author, target.committer, target.subject)
        + (counts[Action.CREATE], counts[Action.UPDATE], counts[Action.DELETE], now_us),
    )


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
        private=(("author", target.author), ("committer", target.committer))
        if target.author
        else (),
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


def _remarks(planned: Plan) -> str | None:
    """What a reader of the log should know of the plan besides its counts."""
    target, widened = planned.target, planned.widenings
    remarks = [finding.sentence for finding in widened if finding.loud]
    if not target.fast_forward:
        remarks.insert(0, f"the history was rewritten: {target.previous_commit} is no ancestor")
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
