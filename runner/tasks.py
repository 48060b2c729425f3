"""The reading room of tasks: what people ask about them. It writes nothing.

Questions are asked through the models, which keep queries readable; nothing here is on the
way of a running task.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, func
from sqlmodel import Session, col, select

from runner.claim import Offer, fits
from runner.contract import errors
from runner.contract.tables import AttemptRow, StepRow, TaskRow, WorkerRow
from runner.contract.task_state import TaskState
from runner.task_record import (
    WAITS_FOR_TIME,
    AttemptRecord,
    StepRecord,
    TaskAccount,
    TaskRecord,
    WorkerRecord,
    shown_state,
    stored_state,
)

STEPS_MAX: Final = 10_000
_AMBIGUOUS_SHOWN: Final = 5
_AFTER_EVERY_ID: Final = "{"  # The character after `z`: ids are lower-case Crockford.


def newest(connection: Connection, state: str | None, limit: int) -> list[TaskRecord]:
    """The newest tasks, newest first; only those in `state` (the word people read)."""
    query = select(TaskRow).order_by(col(TaskRow.id).desc()).limit(limit)
    if state is not None:
        query = query.where(TaskRow.state == stored_state(state))
    with Session(connection) as session:
        return [_task(row) for row in session.exec(query)]


def counts(connection: Connection) -> dict[str, int]:
    """How many tasks are in each state that has any."""
    query = select(TaskRow.state, func.count()).group_by(TaskRow.state)
    with Session(connection) as session:
        return {shown_state(state): count for state, count in session.exec(query)}


def unmatched(connection: Connection, offer: Offer) -> int:
    """How many tasks wait whose requirements are not met by what this host offers."""
    query = (
        select(TaskRow.requirements, func.count())
        .where(TaskRow.state == TaskState.PENDING.value, TaskRow.requirements != "{}")
        .group_by(TaskRow.requirements)
    )
    with Session(connection) as session:
        return sum(
            count
            for requirements, count in session.exec(query)
            if not fits(json.loads(requirements), offer)
        )


def resolve(connection: Connection, prefix: str) -> str:
    """The id that a unique beginning stands for; NotFound when none or several fit."""
    prefix = prefix.lower()
    query = (
        select(TaskRow.id)
        .where(col(TaskRow.id) >= prefix, col(TaskRow.id) < prefix + _AFTER_EVERY_ID)
        .order_by(col(TaskRow.id).desc())
        .limit(_AMBIGUOUS_SHOWN)
    )
    with Session(connection) as session:
        ids = list(session.exec(query))
    if len(ids) == 1:
        return ids[0]
    if not ids:
        raise errors.NotFound(f"no task {prefix!r}; `orloj tasks` lists them")
    raise errors.NotFound(f"several tasks begin with {prefix!r}: {', '.join(ids)}")


def record(connection: Connection, task_id: str) -> TaskRecord:
    """The task itself; NotFound."""
    with Session(connection) as session:
        row = session.get(TaskRow, task_id)
        if row is None:
            raise errors.NotFound(f"no task {task_id!r}; `orloj tasks` lists them")
        return _task(row)


def account(connection: Connection, task_id: str) -> TaskAccount:
    """The task with its attempts and steps, in order; NotFound."""
    attempts = select(AttemptRow).where(AttemptRow.task_id == task_id)
    with Session(connection) as session:
        return TaskAccount(
            record(connection, task_id),
            tuple(_attempt(row) for row in session.exec(attempts.order_by("fence"))),
            tuple(steps(connection, task_id)),
        )


def steps(connection: Connection, task_id: str) -> list[StepRecord]:
    """The journal of a task, in order, up to `STEPS_MAX` steps."""
    query = (
        select(StepRow)
        .where(StepRow.task_id == task_id)
        .order_by(col(StepRow.number))
        .limit(STEPS_MAX)
    )
    with Session(connection) as session:
        return [_step(row) for row in session.exec(query)]


def step(connection: Connection, task_id: str, number: int) -> StepRecord | None:
    """One step of a task; None while the journal does not have it."""
    with Session(connection) as session:
        row = session.get(StepRow, (task_id, number))
        return None if row is None else _step(row)


def workers(connection: Connection) -> list[WorkerRecord]:
    """The worker processes that the pools wrote down, oldest first."""
    held = (
        select(TaskRow.holder, func.count())
        .where(TaskRow.state == TaskState.LEASED.value)
        .group_by(TaskRow.holder)
    )
    with Session(connection) as session:
        busy = dict(session.exec(held).all())
        rows: Sequence[WorkerRow] = session.exec(select(WorkerRow).order_by("started_at")).all()
        return [
            WorkerRecord(
                row.id,
                row.host,
                row.pid,
                row.state,
                row.slots,
                busy.get(row.id, 0),
                row.started_at,
                row.seen_at,
            )
            for row in rows
        ]


def _task(row: TaskRow) -> TaskRecord:
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


def _attempt(row: AttemptRow) -> AttemptRecord:
    return AttemptRecord(
        row.fence, row.worker, row.started_at, row.ended_at, row.outcome, row.error
    )


def _step(row: StepRow) -> StepRecord:
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
