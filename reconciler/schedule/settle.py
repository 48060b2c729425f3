"""Decide what schedules owe, in one transaction: moment, task and audit entries together.

    hold the row ─> follow the manifest ─> what is owed ─┬─> missed
                                                         └─> turn ─┬─> skipped
                                                                   └─> replace, queue
A moment is decided by a row that can be written once. Locks are taken in one order: rows of
schedules by key, then tasks, then the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from reconciler import recorded
from reconciler.in_flight import Cancel
from reconciler.schedule import due as schedule_due
from reconciler.schedule import rows as schedule_rows
from reconciler.schedule.due import Decision, Owed, Progress
from reconciler.schedule.rows import Manifest
from runner.contract import audit, audit_entry, clock, errors, submission
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.kinds import Key, Task, TaskSchedule, spec_of
from runner.contract.submission import Submission
from runner.contract.task_state import FINISHED
from runner.contract.timetable import Timetable

_TYPES: Final = {
    Decision.QUEUED: EntryType.SCHEDULE_FIRED,
    Decision.SKIPPED: EntryType.SCHEDULE_SKIPPED,
    Decision.MISSED: EntryType.SCHEDULE_MISSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What becomes of a moment. `work` is what to queue, in place of the tasks `replaces`."""

    manifest: Manifest
    fire_at: int
    decision: Decision
    reason: str | None = None
    work: Submission | None = None
    replaces: tuple[str, ...] = ()
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """When each schedule comes due next, what was decided, and what could not be read."""

    following: dict[Key, int | None]
    rulings: tuple[Ruling, ...]
    unreadable: dict[Key, str]


def actor(key: Key) -> str:
    """Who queues a schedule's tasks, as the log names it."""
    return f"schedule:{key.namespace}/{key.name}"


def settle(connection: Connection, keys: Sequence[Key], cancel: Cancel, now_us: int) -> Settled:
    """Decide all that these schedules owe now, in the caller's transaction. `keys` sorted."""
    following: dict[Key, int | None] = {}
    unreadable: dict[Key, str] = {}
    rulings: list[Ruling] = []
    for key in keys:
        manifest = schedule_rows.manifest(connection, key)
        if manifest is None:
            schedule_rows.forget(connection, key)
            continue
        try:
            spec, timetable = read(manifest)
        except (errors.Refused, ValueError) as error:
            following[key], unreadable[key] = None, str(error)
            continue
        before = schedule_rows.hold(connection, key)
        if schedule_rows.manifest(connection, key) != manifest:
            # An apply came between, and may have moved this schedule with all it has decided
            # to another name: look again, from what is recorded now.
            following[key] = now_us
            continue
        found, through_us = _rule(
            connection, manifest, spec, timetable, before=before, now_us=now_us
        )
        rulings += found
        following[key] = None if spec.suspend else timetable.after(through_us)
    done = _carry_out(connection, rulings, cancel, now_us)
    return Settled(following, tuple(done), unreadable)


def read(manifest: Manifest) -> tuple[TaskSchedule, Timetable]:
    """The schedule and its moments; Refused or ValueError when this host cannot tell them."""
    spec = spec_of(schedule_rows.KIND, manifest.body)
    assert isinstance(spec, TaskSchedule)
    return spec, Timetable(spec.schedule, spec.time_zone)


def _rule(
    connection: Connection,
    manifest: Manifest,
    spec: TaskSchedule,
    timetable: Timetable,
    *,
    before: Progress | None,
    now_us: int,
) -> tuple[list[Ruling], int]:
    """What becomes of the moments of one schedule, and up to when all are decided."""
    key = manifest.key
    since_us = min(manifest.applied_at, now_us)
    state = schedule_due.followed(before, spec, manifest.generation, since_us)
    rulings: list[Ruling] = []
    owed = schedule_due.owed(state, spec.starting_deadline_seconds, timetable, now_us)
    if owed is not None:
        rulings += _missed(manifest, owed)
        if owed.run_us is not None:
            rulings.append(_turn(connection, manifest, spec, owed.run_us))
        state = replace(state, through_us=owed.through_us, missed=state.missed + owed.missed)
    if state != before:
        schedule_rows.put(connection, key, state)
    return [
        ruling
        for ruling in rulings
        if schedule_rows.decide(
            *(connection, key, ruling.fire_at, ruling.decision, ruling.reason), now_us=now_us
        )
    ], state.through_us


def _missed(manifest: Manifest, owed: Owed) -> list[Ruling]:
    if owed.missed_last_us is None:
        return []
    last = clock.iso(owed.missed_last_us)
    reason = f"{owed.missed_words} missed, the last due at {last}: no daemon was there in time"
    return [
        Ruling(
            manifest=manifest,
            fire_at=owed.missed_last_us,
            decision=Decision.MISSED,
            reason=reason,
        )
    ]


def _turn(
    connection: Connection, manifest: Manifest, spec: TaskSchedule, fire_at: int
) -> Ruling:
    """What becomes of a moment that is to run: by the policy, and by what there is to run."""
    key = manifest.key
    replaces = spec.concurrency_policy == "replace"
    running = schedule_rows.unfinished(connection, key, held=replaces)
    reason = None
    if running and spec.concurrency_policy == "forbid":
        reason = f"task {running[0][0]} of an earlier moment is not finished"
    work = None
    try:
        work = _work(connection, key, spec)
    except errors.OrlojError as error:
        reason = str(error)
    if reason is not None:
        return Ruling(
            manifest=manifest, fire_at=fire_at, decision=Decision.SKIPPED, reason=reason
        )
    return Ruling(
        manifest=manifest,
        fire_at=fire_at,
        decision=Decision.QUEUED,
        work=work,
        replaces=tuple(task for task, _ in running) if replaces else (),
    )


def _work(connection: Connection, key: Key, spec: TaskSchedule) -> Submission:
    """What the template asks for now; NotFound, or Refused when it cannot be read."""
    if spec.task_template is not None:
        return submission.of_inline(key.namespace, spec.task_template, actor(key))
    template = spec.queued(key.namespace)
    found = recorded.resources_with(connection, [template]).get(template)
    if found is None:
        raise errors.NotFound(f"{template} is not there")
    task = spec_of("Task", found.body)
    assert isinstance(task, Task)
    return submission.of_task(template, task, actor(key))


def _carry_out(
    connection: Connection, rulings: Sequence[Ruling], cancel: Cancel, now_us: int
) -> list[Ruling]:
    """Cancel, queue, log and tidy up what was ruled; the same rulings, with their tasks."""
    if not rulings:
        return []
    for ruling in rulings:
        if ruling.replaces:
            by = actor(ruling.manifest.key)
            cancel(connection, ruling.replaces, actor=by, now_us=now_us)
    commits = _commits(connection, rulings)
    done = [_queued(connection, ruling, commits, now_us) for ruling in rulings]
    for ruling in done:
        if ruling.task is not None:
            key = ruling.manifest.key
            schedule_rows.name_task(connection, key, ruling.fire_at, ruling.task)
    audit.append(
        connection, [_entry(ruling, commits[ruling.manifest.key]) for ruling in done], now_us
    )
    for manifest in {ruling.manifest.key: ruling.manifest for ruling in done}.values():
        _tidy(connection, manifest)
    return done


def _queued(
    connection: Connection, ruling: Ruling, commits: Mapping[Key, str], now_us: int
) -> Ruling:
    """The ruling with the task that does its work, if it has any."""
    if ruling.work is None:
        return ruling
    commit = commits[ruling.manifest.key]
    (task,) = submission.submit(connection, [ruling.work], commit, now_us)
    return replace(ruling, task=task)


def _commits(connection: Connection, rulings: Sequence[Ruling]) -> Mapping[Key, str]:
    """The commit that each schedule's repository stands at."""
    keys = {ruling.manifest.key for ruling in rulings}
    have = recorded.resources_with(connection, keys)
    found = {key: recorded.commit_of(connection, item.owner) for key, item in have.items()}
    return {key: found.get(key) or audit_entry.NO_COMMIT for key in keys}


def _entry(ruling: Ruling, commit: str) -> Entry:
    manifest = ruling.manifest
    due = f"due at {clock.iso(ruling.fire_at)}"
    return Entry(
        type=_TYPES[ruling.decision],
        actor=actor(manifest.key),
        commit=manifest.commit or commit,
        task=ruling.task,
        rule=f"{manifest.path}:{manifest.line}",
        reason=due if ruling.reason is None else f"{due}: {ruling.reason}",
        resource=str(manifest.key),
        outcome=ruling.decision.value,
    )


def _tidy(connection: Connection, manifest: Manifest) -> None:
    """Leave out of the history what its limits have no room for; the log keeps all."""
    spec, _ = read(manifest)
    kept = schedule_rows.records(connection, manifest.key)
    limits = (spec.successful_history_limit, spec.failed_history_limit)
    outdated = schedule_due.beyond(kept, *limits, FINISHED)
    schedule_rows.prune(connection, manifest.key, outdated)
