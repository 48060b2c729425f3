"""A canary as it is kept, and reading it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.canary_verdict import Evaluation
from runner.contract.kinds import Key


class CanaryState(StrEnum):
    """How far the canary of a revision is."""

    WAITING = "waiting"
    """Its tasks are not over."""
    PASSED = "passed"
    FAILED = "failed"
    """The commit is not applied again until somebody forgives it."""
    SUPERSEDED = "superseded"
    """A newer commit came first."""
    FORGIVEN = "forgiven"
    """A person lets the commit be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A row: `previous` is the last revision known to be good, None before the first.

    `held` are the Tasks in mode `run` that wait for it to pass; `closing` says that tasks
    may still have to be cancelled.
    """

    id: int
    source: str
    commit: str
    previous: str | None
    history: int
    state: CanaryState
    tasks: tuple[Evaluation, ...]
    held: tuple[Key, ...]
    message: str
    closing: bool
    started_at: int


_SELECT: Final = (
    "SELECT id, source, commit_sha, previous_commit, history_id, state, tasks, held, message,"
    " closing, started_at FROM canary"
)


def one(connection: Connection, where: str, *values: str) -> Canary | None:
    """The canary that a condition finds; None without one."""
    row = connection.exec_driver_sql(f"{_SELECT} {where}", values).one_or_none()
    return None if row is None else _canary(row)


def many(connection: Connection, where: str, *values: str) -> list[Canary]:
    """The canaries that a condition finds."""
    rows = connection.exec_driver_sql(f"{_SELECT} {where}", values)
    return [_canary(row) for row in rows]


def _canary(row: Sequence[Any]) -> Canary:
    return Canary(
        id=row[0],
        source=row[1],
        commit=row[2],
        previous=row[3],
        history=row[4],
        state=CanaryState(row[5]),
        tasks=tuple(Evaluation(Key(*key), task, at) for key, task, at in json.loads(row[6])),
        held=tuple(Key(*key) for key in json.loads(row[7])),
        message=row[8],
        closing=bool(row[9]),
        started_at=row[10],
    )
