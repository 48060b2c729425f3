"""The reading room of tasks: what people ask about them. It writes nothing."""

import json
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Row

from runner.claim import Offer, fits
from runner.contract import errors
from runner.task_record import (
    WAITS_FOR_TIME,
    AttemptRecord,
    ChildRecord,
    StepRecord,
    TaskAccount,
    TaskRecord,
    VisitRecord,
    WorkerRecord,
    shown_state,
    stored_state,
)

STEPS_MAX: Final = 10_000
_AMBIGUOUS_SHOWN: Final = 5
_AFTER_EVERY_ID: Final = "{"  # The character after `z`: ids are lower-case Crockford.


def newest(connection: Connection, state: str | None, limit: int) -> list[TaskRecord]:
    """The newest tasks, newest first; only those in `state` (the word people read)."""
    query = "SELECT * FROM task ORDER BY id DESC LIMIT ?"
    values: tuple[Any, ...] = (limit,)
    if state is not None:
        query = "SELECT * FROM task WHERE state = ? ORDER BY id DESC LIMIT ?"
        values = (stored_state(state), *values)
    return [_task(row) for row in connection.exec_driver_sql(query, values)]


def counts(connection: Connection) -> dict[str, int]:
    """How many tasks are in each state that has any."""
    query = "SELECT state, count(*) FROM task GROUP BY state"
    return {shown_state(state): count for state, count in connection.exec_driver_sql(query)}


def unmatched(connection: Connection, offer: Offer) -> int:
    """How many tasks wait whose requirements are not met by what this host offers."""
    query = (
        "SELECT requirements, count(*) FROM task"
        " WHERE state = 'pending' AND requirements <> '{}' GROUP BY requirements"
    )
    return sum(
        count
        for requirements, count in connection.exec_driver_sql(query)
        if not fits(json.loads(requirements), offer)
    )


def resolve(connection: Connection, prefix: str) -> str:
    """The id that a unique beginning stands for; NotFound when none or several fit."""
    prefix = prefix.lower()
    query = "SELECT id FROM task WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?"
    values = (prefix, prefix + _AFTER_EVERY_ID, _AMBIGUOUS_SHOWN)
    ids = [str(id) for id in connection.exec_driver_sql(query, values).scalars()]
    if len(ids) == 1:
        return ids[0]
    if not ids:
        raise errors.NotFound(f"no task {prefix!r}; `orloj tasks` lists them")
    raise errors.NotFound(f"several tasks begin with {prefix!r}: {', '.join(ids)}")


def record(connection: Connection, task_id: str) -> TaskRecord:
    """The task itself; NotFound."""
    query = "SELECT * FROM task WHERE id = ?"
    row = connection.exec_driver_sql(query, (task_id,)).one_or_none()
    if row is None:
        raise errors.NotFound(f"no task {task_id!r}; `orloj tasks` lists them")
    return _task(row)


def account(connection: Connection, task_id: str) -> TaskAccount:
    """The task with its attempts and steps, in order; NotFound."""
    query = (
        "SELECT fence, worker, started_at, ended_at, outcome, error FROM attempt"
        " WHERE task_id = ? ORDER BY fence"
    )
    attempts = connection.exec_driver_sql(query, (task_id,)).all()
    return TaskAccount(
        record(connection, task_id),
        tuple(AttemptRecord(*row) for row in attempts),
        tuple(steps(connection, task_id)),
        next(_family(connection, "c.parent_id", "c.task_id", task_id), None),
        tuple(_family(connection, "c.task_id", "c.parent_id", task_id)),
    )


def steps(connection: Connection, task_id: str) -> list[StepRecord]:
    """The journal of a task, in order, up to `STEPS_MAX` steps."""
    query = "SELECT * FROM step WHERE task_id = ? ORDER BY number LIMIT ?"
    return [_step(row) for row in connection.exec_driver_sql(query, (task_id, STEPS_MAX))]


def visits(connection: Connection, task: TaskRecord) -> list[VisitRecord]:
    """The turns of a task's agents, in the order they began."""
    query = (
        "SELECT number, agent, sources, phase, state, error, attempt, started_at, finished_at"
        " FROM visit WHERE task_id = ? ORDER BY number LIMIT ?"
    )
    found = []
    for row in connection.exec_driver_sql(query, (task.id, STEPS_MAX)):
        number, agent, sources, phase, state, *rest = row
        stopped = task.finished and state == "running"
        state = "stopped" if stopped else state
        found.append(
            VisitRecord(number, agent, tuple(json.loads(sources)), phase, state, *rest)
        )
    return found


def step(connection: Connection, task_id: str, number: int) -> StepRecord | None:
    """One step of a task; None while the journal does not have it."""
    query = "SELECT * FROM step WHERE task_id = ? AND number = ?"
    row = connection.exec_driver_sql(query, (task_id, number)).one_or_none()
    return None if row is None else _step(row)


def workers(connection: Connection) -> list[WorkerRecord]:
    """The worker processes that the pools wrote down, oldest first."""
    query = (
        "SELECT id, host, pid, state, slots, (SELECT count(*) FROM task"
        " WHERE task.state = 'leased' AND task.holder = worker.id), started_at, seen_at"
        " FROM worker ORDER BY started_at"
    )
    return [WorkerRecord(*row) for row in connection.exec_driver_sql(query)]


def _family(connection: Connection, shown: str, by: str, task_id: str) -> Iterator[ChildRecord]:
    """The tasks at the other end of what queued this one, or of what it queued, in order."""
    query = (
        f"SELECT {shown}, c.step, c.depth, t.task_name, t.state FROM task_child c"  # noqa: S608
        f" JOIN task t ON t.id = {shown} WHERE {by} = ? ORDER BY c.step LIMIT ?"
    )
    for task, step, depth, name, state in connection.exec_driver_sql(
        query, (task_id, STEPS_MAX)
    ):
        yield ChildRecord(task, step, depth, name, shown_state(state))


def _task(row: Row[Any]) -> TaskRecord:
    return TaskRecord(
        id=row.id,
        subject=f"{row.subject_kind.lower()}/{row.namespace}/{row.subject_name}",
        task_name=row.task_name,
        state=shown_state(row.state),
        attempt=row.attempt,
        commit=row.commit_sha,
        manifest_set=row.manifest_set,
        input=json.loads(row.input),
        output=row.output,
        error=row.error,
        actor=row.actor,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        waits_until=row.run_at if row.state in WAITS_FOR_TIME else None,
    )


def _step(row: Row[Any]) -> StepRecord:
    return StepRecord(
        task=row.task_id,
        number=row.number,
        agent=row.agent,
        kind=row.kind,
        name=row.name,
        phase=row.phase,
        request=_json(row.request),
        result=_json(row.result),
        fence=row.fence,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
