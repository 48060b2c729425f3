"""The canary of a revision: evaluation tasks that must pass before it counts as Ready.

    apply ──begin──> waiting ──all passed──> passed       what was held back is queued
                        ├──one did not──> failed          the revision before is put back
                        └──a newer commit──> superseded   its tasks are cancelled

Each step is one transaction, so that a daemon killed at any moment goes on from a row.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from reconciler import canary_rows, canary_verdict, recorded
from reconciler.canary_rows import Canary, CanaryState
from reconciler.canary_verdict import Evaluation, Seen
from reconciler.change import Plan
from reconciler.evaluation import beginning
from reconciler.evaluation import rows as evaluation_rows
from reconciler.evaluation.record import RunState
from reconciler.history import history
from reconciler.history.trigger import Result
from reconciler.resource import git_owner
from runner.contract import audit, submission
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.kinds import Key, Task, spec_of
from runner.contract.submission import Submission
from runner.contract.task_state import TaskState

WAITS: Final = "Canary"
FAILED: Final = "CanaryFailed"
Work = tuple[Key, Submission]


def begin(
    connection: Connection, planned: Plan, number: int, work: Sequence[Work], now_us: int
) -> tuple[list[Work], list[str]]:
    """Start the canary of what was just applied, in its transaction, if it has evaluations.

    `number` is its row in the history, `work` what it would queue. What may be queued now,
    and the ids of the evaluation tasks.
    """
    name, commit = planned.target.source, planned.target.commit
    assert commit is not None
    before = _standing_row(connection, name, planned.target.previous_commit)
    if not planned.changes:
        _follow(connection, before, commit)
        return list(work), []
    wanted = evaluations(connection, planned.target.owner)
    runs = marked_runs(connection, planned.target.owner)
    marked = {key for key, _, _ in wanted}
    held = [item for item in work if item[0] not in marked]
    held += _released(connection, before, marked | {key for key, _ in held})
    if before is not None and before.state is CanaryState.WAITING:
        _close(connection, before, CanaryState.SUPERSEDED, "a newer commit came first", now_us)
        history.mark(connection, before.history, Result.APPLIED, "a newer commit came first")
    if not wanted and not runs:
        return held, []
    ids = submission.submit(connection, [item for _, item, _ in wanted], commit, now_us)
    tasks = [
        [list(key), id, now_us + int(length_s * 1_000_000)]
        for (key, _, length_s), id in zip(wanted, ids, strict=True)
    ]
    for key, length_s in runs:
        run = beginning.applied(connection, key, planned.target.owner, commit, now_us)
        tasks.append([list(key), str(run), now_us + int(length_s * 1_000_000)])
    previous = before.previous if before else planned.target.previous_commit
    connection.exec_driver_sql(
        "INSERT INTO canary (source, commit_sha, previous_commit, history_id, state, tasks,"
        " held, message, closing, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, '', FALSE, ?)",
        (name, commit, previous, number, CanaryState.WAITING.value, json.dumps(tasks))
        + (json.dumps([list(key) for key, _ in held]), now_us),
    )
    history.mark(connection, number, Result.CANARY)
    say(connection, name, "Reconciling", WAITS, f"0 of {len(tasks)} evaluation tasks passed")
    return [], ids


def evaluations(connection: Connection, owner: str) -> list[tuple[Key, Submission, float]]:
    """The evaluation tasks that an owner declares, and how long each may take."""
    found = []
    for key, body, length_s in _marked(connection, owner, "Task"):
        spec = spec_of("Task", body)
        assert isinstance(spec, Task)
        found.append((key, submission.of_task(key, spec, owner), length_s))
    return found


def marked_runs(connection: Connection, owner: str) -> list[tuple[Key, float]]:
    """The EvalRuns of an owner that must pass, and how long each may take."""
    return [(key, length_s) for key, _, length_s in _marked(connection, owner, "EvalRun")]


def _marked(connection: Connection, owner: str, kind: str) -> Iterator[tuple[Key, str, float]]:
    """What an owner declares of a kind as a canary: its key, body and length in seconds."""
    rows = connection.exec_driver_sql(
        "SELECT namespace, name, body FROM resource WHERE kind = ? AND owner = ?"
        " AND body LIKE ? ORDER BY namespace, name",
        (kind, owner, f"%{canary_verdict.ANNOTATION}%"),
    )
    for namespace, name, body in rows:
        length_s = canary_verdict.timeout_s(canary_verdict.annotations(body))
        if length_s is not None:
            yield Key(namespace, kind, name), body, length_s


def waiting(connection: Connection, source: str) -> Canary | None:
    """The canary that a repository waits for."""
    return canary_rows.one(
        connection, "WHERE source = ? AND state = 'waiting' ORDER BY id DESC LIMIT 1", source
    )


def failed(connection: Connection, source: str, commit: str) -> Canary | None:
    """The canary that a commit failed, so that it is not applied again; None if it may be."""
    found = canary_rows.one(
        connection,
        "WHERE source = ? AND commit_sha = ? ORDER BY id DESC LIMIT 1",
        source,
        commit,
    )
    return found if found is not None and found.state is CanaryState.FAILED else None


def closing(connection: Connection, source: str) -> list[Canary]:
    """Canaries that are over, and whose tasks may not be."""
    return canary_rows.many(connection, "WHERE source = ? AND closing", source)


def holding(connection: Connection) -> set[str]:
    """The owners whose applied revision is not known to be good: their schedules wait."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT c.source FROM canary c LEFT JOIN source s ON s.name = c.source"
        " WHERE c.state = 'waiting' OR (c.state = 'failed' AND s.applied_commit = c.commit_sha)"
    )
    return {git_owner(name) for (name,) in rows}


def look(connection: Connection, canary: Canary) -> list[Seen]:
    """How the tasks of a canary stand."""
    found = []
    for item in canary.tasks:
        if item.key.kind == "EvalRun":
            found.append(_run(connection, item))
            continue
        row = connection.exec_driver_sql(
            "SELECT state, error FROM task WHERE id = ?", (item.task,)
        ).one_or_none()
        denied = connection.exec_driver_sql(
            "SELECT coalesce(tool, 'a tool that nobody declared') FROM audit_entry"
            " WHERE task = ? AND decision = 'deny' ORDER BY seq LIMIT 1",
            (item.task,),
        ).one_or_none()
        state, error = ("gone", "its row is gone") if row is None else (row[0], row[1])
        found.append(Seen(item, state, error, None if denied is None else str(denied[0])))
    return found


def _run(connection: Connection, item: Evaluation) -> Seen:
    """How a run of an EvalRun stands, in the states of a task."""
    run = evaluation_rows.find(connection, item.task)
    if run.open:
        return Seen(item, TaskState.PENDING)
    good = run.state is RunState.PASSED
    state = TaskState.SUCCEEDED if good else TaskState.FAILED
    words = f"run {run.id} is {run.state.value}: {run.message}; orloj eval show {run.id}"
    return Seen(item, state, None if good else words)


def stop_run(connection: Connection, item: Evaluation, actor: str, now_us: int) -> None:
    """Cancel a run whose canary is over; whoever drives it cancels its tasks."""
    run = evaluation_rows.locked(connection, int(item.task))
    if run.open:
        why = f"cancelled by {actor}"
        evaluation_rows.close(connection, run.id, RunState.CANCELLED, why, now_us)


def passed(connection: Connection, canary: Canary, now_us: int) -> list[str]:
    """Let what was held back go: the ids of its tasks."""
    _close(connection, canary, CanaryState.PASSED, "", now_us)
    history.mark(connection, canary.history, Result.APPLIED)
    work = [item for _, item in _released(connection, canary, set())]
    return submission.submit(connection, work, canary.commit, now_us)


def fail(connection: Connection, canary: Canary, why: str, now_us: int) -> None:
    """Remember that the revision is bad."""
    _close(connection, canary, CanaryState.FAILED, why, now_us)
    history.mark(connection, canary.history, Result.CANARY_FAILED, why)


def closed(connection: Connection, canary: Canary) -> None:
    """Remember that no task of it is left to cancel."""
    connection.exec_driver_sql("UPDATE canary SET closing = FALSE WHERE id = ?", (canary.id,))


def forgive(connection: Connection, canary: Canary, actor: str, now_us: int) -> list[str]:
    """Let a commit be tried again; where it is still applied, it counts as good from now on."""
    _close(connection, canary, CanaryState.FORGIVEN, canary.message, now_us)
    entry = Entry(
        type=EntryType.MANIFEST_OVERRIDDEN,
        actor=actor,
        commit=canary.commit,
        outcome="canary",
        resource=f"source/{canary.source}",
        reason=canary.message or None,
    )
    audit.append(connection, [entry], now_us)
    state = recorded.source(connection, canary.source)
    if state is None or state.applied_commit != canary.commit:
        return []
    work = [item for _, item in _released(connection, canary, set())]
    return submission.submit(connection, work, canary.commit, now_us)


def standing(connection: Connection, source: str, commit: str) -> tuple[str, str, str] | None:
    """The condition of a repository whose applied `commit` is not known to be good."""
    now = waiting(connection, source)
    if now is not None:
        words = now.message or f"0 of {len(now.tasks)} evaluation tasks passed"
        return "Reconciling", WAITS, words
    bad = failed(connection, source, commit)
    return None if bad is None else ("Stalled", FAILED, bad.message)


def say(connection: Connection, name: str, condition: str, reason: str, words: str) -> None:
    """Write a condition into the row of a repository."""
    state = recorded.source(connection, name)
    assert state is not None
    if (state.condition, state.reason, state.message) != (condition, reason, words):
        changed = replace(state, condition=condition, reason=reason, message=words)
        recorded.put_source(connection, changed)


def remark(connection: Connection, canary: Canary, words: str) -> None:
    """Keep how far a canary is, for those who look between two daemons."""
    connection.exec_driver_sql("UPDATE canary SET message = ? WHERE id = ?", (words, canary.id))


def _standing_row(connection: Connection, source: str, applied: str | None) -> Canary | None:
    """The canary of what is applied, if it has not passed: what is good lies before it."""
    found = waiting(connection, source)
    return found or failed(connection, source, applied or "")


def _follow(connection: Connection, before: Canary | None, commit: str) -> None:
    """A commit that changes no manifest: what waits goes on for it."""
    if before is None:
        return
    connection.exec_driver_sql(
        "UPDATE canary SET commit_sha = ? WHERE id = ?", (commit, before.id)
    )
    if (found := standing(connection, before.source, commit)) is not None:
        say(connection, before.source, *found)


def _released(connection: Connection, before: Canary | None, beside: set[Key]) -> list[Work]:
    """What an older canary held back and is still declared, without what is asked for anew."""
    wanted = [key for key in (before.held if before else ()) if key not in beside]
    found = []
    for key, item in recorded.resources_with(connection, wanted).items():
        spec = spec_of("Task", item.body)
        assert isinstance(spec, Task)
        if spec.mode == "run" and before and item.owner == git_owner(before.source):
            found.append((key, submission.of_task(key, spec, item.owner)))
    return found


def _close(
    connection: Connection, canary: Canary, state: CanaryState, why: str, now_us: int
) -> None:
    open_tasks = state in (CanaryState.FAILED, CanaryState.SUPERSEDED)
    connection.exec_driver_sql(
        "UPDATE canary SET state = ?, message = ?, closing = ?, ended_at = ? WHERE id = ?",
        (state.value, why, open_tasks, now_us, canary.id),
    )
