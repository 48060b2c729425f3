"""Runs and answers in the database: reading and writing them. Decides nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.evaluation.record import Result, ResultState, Run, RunState
from runner.contract import errors
from runner.contract.kinds import EvalDataset, EvalRun, Key, Spec

_RUN: Final = (
    "SELECT id, namespace, name, commit_sha, actor, spec, dataset, state, message, closing,"
    " created_at, finished_at FROM eval_run"
)
_RESULT: Final = (
    "SELECT sample, repetition, state, manifest_set, judge_set, task_id, judge_task, passed,"
    " score, reason, scorer, tokens, judge_tokens, duration_us FROM eval_result"
    " WHERE run_id = ? ORDER BY sample, repetition"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a task of an evaluation stands."""

    state: str
    output: str | None
    error: str | None
    tokens: int
    started_at: int | None
    finished_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A run to be written."""

    key: Key
    commit: str
    actor: str
    spec: EvalRun
    dataset: EvalDataset


def insert(connection: Connection, new: New, now_us: int) -> int:
    """Write a run that nobody began yet; its number."""
    row = connection.exec_driver_sql(
        "INSERT INTO eval_run (namespace, name, commit_sha, actor, spec, dataset, state,"
        " message, closing, created_at) VALUES (?, ?, ?, ?, ?, ?, 'pending', '', FALSE, ?)"
        " RETURNING id",
        (new.key.namespace, new.key.name, new.commit, new.actor, _text(new.spec))
        + (_text(new.dataset), now_us),
    )
    return int(row.scalar_one())


def find(connection: Connection, named: str) -> Run:
    """A run by its number, or the newest one of `[namespace/]name`; NotFound."""
    if named.isdigit():
        found = _runs(connection, "WHERE id = ?", int(named))
    else:
        namespace, _, name = named.rpartition("/")
        values = (namespace or "default", name)
        found = _runs(
            connection, "WHERE namespace = ? AND name = ? ORDER BY id DESC LIMIT 1", *values
        )
    if not found:
        raise errors.NotFound(
            f"no run {named!r} of an evaluation; `orloj eval list` lists them"
        )
    return found[0]


def locked(connection: Connection, number: int) -> Run:
    """A run that nobody else changes until the transaction ends."""
    (found,) = _runs(connection, "WHERE id = ? /* lock */", number)
    return found


def unfinished(connection: Connection) -> list[Run]:
    """The runs of which something is to come."""
    return _runs(
        connection,
        "WHERE state IN ('pending', 'running', 'review') OR closing ORDER BY id",
    )


def newest(connection: Connection, name: str | None, limit: int) -> list[Run]:
    """The newest runs, newest first; only those of a name."""
    if name is None:
        return _runs(connection, "ORDER BY id DESC LIMIT ?", limit)
    namespace, _, bare = name.rpartition("/")
    return _runs(
        connection,
        "WHERE namespace = ? AND name = ? ORDER BY id DESC LIMIT ?",
        *(namespace or "default", bare, limit),
    )


def close(
    connection: Connection, number: int, state: RunState, message: str, now_us: int
) -> None:
    """A run is over; `closing` where tasks may be left."""
    connection.exec_driver_sql(
        "UPDATE eval_run SET state = ?, message = ?, finished_at = ?, closing = ? WHERE id = ?",
        (state.value, message, now_us, state is RunState.CANCELLED, number),
    )


def move(connection: Connection, number: int, state: RunState) -> None:
    """A run goes on."""
    connection.exec_driver_sql(
        "UPDATE eval_run SET state = ? WHERE id = ?", (state.value, number)
    )


def closed(connection: Connection, number: int) -> None:
    """No task of a cancelled run is left."""
    connection.exec_driver_sql("UPDATE eval_run SET closing = FALSE WHERE id = ?", (number,))


def results(connection: Connection, number: int) -> list[Result]:
    """The answers of a run, by sample and repetition."""
    return [_result(row) for row in connection.exec_driver_sql(_RESULT, (number,))]


def write_results(connection: Connection, number: int, new: Iterable[Result]) -> None:
    """Write the questions of a run."""
    connection.exec_driver_sql(
        "INSERT INTO eval_result (run_id, sample, repetition, state, manifest_set, judge_set,"
        " reason, scorer, tokens, judge_tokens) VALUES (?, ?, ?, ?, ?, ?, '', '', 0, 0)",
        [
            (number, one.sample, one.repetition, one.state.value)
            + (one.manifest_set, one.judge_set)
            for one in new
        ],
    )


def save(connection: Connection, number: int, changed: Sequence[Result]) -> None:
    """Write what became of answers."""
    if changed:
        connection.exec_driver_sql(
            "UPDATE eval_result SET state = ?, task_id = ?, judge_task = ?, passed = ?,"
            " score = ?, reason = ?, scorer = ?, tokens = ?, judge_tokens = ?, duration_us = ?"
            " WHERE run_id = ? AND sample = ? AND repetition = ?",
            [
                (one.state.value, one.task, one.judge_task, one.passed, one.score, one.reason)
                + (one.scorer, one.tokens, one.judge_tokens, one.duration_us)
                + (number, one.sample, one.repetition)
                for one in changed
            ],
        )


def asked(connection: Connection, ids: Iterable[str | None]) -> Mapping[str, Asked]:
    """How tasks stand, by id."""
    wanted = json.dumps([id for id in ids if id is not None])
    rows = connection.exec_driver_sql(
        "SELECT id, state, output, error, tokens_in + tokens_out, started_at, finished_at"
        " FROM task WHERE id IN (SELECT value FROM json_each(?))",
        (wanted,),
    )
    return {row[0]: Asked(*row[1:]) for row in rows}


def _runs(connection: Connection, where: str, *values: Any) -> list[Run]:
    rows = connection.exec_driver_sql(f"{_RUN} {where}", values)
    return [_run(row) for row in rows]


def _run(row: Sequence[Any]) -> Run:
    return Run(
        id=row[0],
        key=Key(row[1], "EvalRun", row[2]),
        commit=row[3],
        actor=row[4],
        spec=EvalRun.model_validate(json.loads(row[5])),
        dataset=EvalDataset.model_validate(json.loads(row[6])),
        state=RunState(row[7]),
        message=row[8],
        closing=bool(row[9]),
        created_at=row[10],
        finished_at=row[11],
    )


def _result(row: Sequence[Any]) -> Result:
    return Result(
        sample=row[0],
        repetition=row[1],
        state=ResultState(row[2]),
        manifest_set=row[3],
        judge_set=row[4],
        task=row[5],
        judge_task=row[6],
        passed=None if row[7] is None else bool(row[7]),
        score=row[8],
        reason=row[9],
        scorer=row[10],
        tokens=row[11],
        judge_tokens=row[12],
        duration_us=row[13],
    )


def _text(spec: Spec) -> str:
    body = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
