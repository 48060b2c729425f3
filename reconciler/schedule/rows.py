"""The rows of schedules: their manifests, how far each is decided, and the moments decided.

Plain statements over the caller's connection. Nothing here decides anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler.schedule.due import Decision, FireRecord, Progress
from runner.contract.kinds import Key
from runner.contract.task_state import FINISHED

KIND: Final = "TaskSchedule"

_MANIFESTS: Final = (
    "SELECT namespace, name, generation, applied_at, body, commit_sha, path, line FROM resource"
    " WHERE kind = 'TaskSchedule'"
)
_PROGRESS: Final = (
    "SELECT namespace, name, timing, suspended, generation, through_at, missed FROM schedule"
)
_PUT: Final = (
    "INSERT INTO schedule (namespace, name, timing, suspended, generation, through_at, missed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (namespace, name) DO UPDATE SET"
    " timing = excluded.timing, suspended = excluded.suspended,"
    " generation = excluded.generation, through_at = excluded.through_at,"
    " missed = excluded.missed"
)
_CLAIM: Final = (
    "INSERT INTO schedule (namespace, name, timing, suspended, generation, through_at, missed)"
    " VALUES (?, ?, '', FALSE, -1, 0, 0) ON CONFLICT DO NOTHING"
)
_FIRE: Final = (
    "INSERT INTO schedule_fire (namespace, name, fire_at, decision, reason, task_id,"
    " decided_at) VALUES (?, ?, ?, ?, ?, NULL, ?) ON CONFLICT DO NOTHING"
)
_OF: Final = " WHERE f.namespace = ? AND f.name = ?"
_FINISHED: Final = ", ".join(f"'{state.value}'" for state in sorted(FINISHED))
_UNFINISHED: Final = (
    "SELECT t.id, t.state FROM schedule_fire f JOIN task t ON t.id = f.task_id"  # noqa: S608
    f"{_OF} AND t.state NOT IN ({_FINISHED}) ORDER BY t.id"
)
_RECORDS: Final = (
    "SELECT f.fire_at, f.decision, f.reason, f.task_id, t.state FROM schedule_fire f"  # noqa: S608
    f" LEFT JOIN task t ON t.id = f.task_id{_OF} ORDER BY f.fire_at DESC"
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A TaskSchedule as it is recorded."""

    key: Key
    generation: int
    applied_at: int
    body: str
    commit: str | None
    path: str
    line: int


def manifests(connection: Connection) -> dict[Key, Manifest]:
    """Every TaskSchedule that is recorded."""
    rows = connection.exec_driver_sql(f"{_MANIFESTS} ORDER BY namespace, name")
    return {
        (key := Key(namespace, KIND, name)): Manifest(key, *rest)
        for namespace, name, *rest in rows
    }


def versions(connection: Connection) -> dict[Key, tuple[int, int]]:
    """Generation and time of apply of every TaskSchedule: what changes when it does."""
    rows = connection.exec_driver_sql(
        "SELECT namespace, name, generation, applied_at FROM resource WHERE kind = ?", (KIND,)
    )
    return {Key(namespace, KIND, name): (gen, at) for namespace, name, gen, at in rows}


def owned_by(connection: Connection, owners: Iterable[str]) -> set[Key]:
    """The TaskSchedules of these owners."""
    found: set[Key] = set()
    for owner in owners:
        rows = connection.exec_driver_sql(
            "SELECT namespace, name FROM resource WHERE kind = ? AND owner = ?", (KIND, owner)
        )
        found |= {Key(namespace, KIND, name) for namespace, name in rows}
    return found


def manifest(connection: Connection, key: Key) -> Manifest | None:
    """A TaskSchedule; None when it is not recorded any more."""
    row = connection.exec_driver_sql(
        f"{_MANIFESTS} AND namespace = ? AND name = ?", (key.namespace, key.name)
    ).one_or_none()
    return None if row is None else Manifest(key, *row[2:])


def progress(connection: Connection) -> dict[Key, Progress]:
    """How far each schedule is decided."""
    return dict(map(_progress, connection.exec_driver_sql(_PROGRESS)))


def totals(connection: Connection) -> tuple[int, int, int]:
    """How many schedules there are, how many are suspended, and the moments missed."""
    row = connection.exec_driver_sql(
        "SELECT count(*), sum(CASE WHEN suspended THEN 1 ELSE 0 END), sum(missed) FROM schedule"
    ).one()
    return row[0], int(row[1] or 0), int(row[2] or 0)


def hold(connection: Connection, key: Key) -> Progress | None:
    """How far one is decided, until the transaction ends by nobody else; None: it is new."""
    pair = (key.namespace, key.name)
    connection.exec_driver_sql(_CLAIM, pair)
    row = connection.exec_driver_sql(
        f"{_PROGRESS} WHERE namespace = ? AND name = ? /* lock */", pair
    ).one()
    found = _progress(row)[1]
    return found if found.generation >= 0 else None


def put(connection: Connection, key: Key, state: Progress) -> None:
    """Write how far a schedule is decided."""
    connection.exec_driver_sql(
        _PUT,
        (key.namespace, key.name, state.timing, state.suspended)
        + (state.generation, state.through_us, state.missed),
    )


def forget(connection: Connection, key: Key) -> None:
    """Forget a schedule and its moments; its tasks and the log stay."""
    pair = (key.namespace, key.name)
    connection.exec_driver_sql("DELETE FROM schedule WHERE namespace = ? AND name = ?", pair)
    connection.exec_driver_sql(
        "DELETE FROM schedule_fire WHERE namespace = ? AND name = ?", pair
    )


def decide(
    connection: Connection,
    key: Key,
    fire_at: int,
    decision: Decision,
    reason: str | None,
    *,
    now_us: int,
) -> bool:
    """Write what becomes of a moment; False when that was decided before."""
    values = (key.namespace, key.name, fire_at, decision.value, reason, now_us)
    return connection.exec_driver_sql(_FIRE, values).rowcount == 1


def name_task(connection: Connection, key: Key, fire_at: int, task: str) -> None:
    """Name the task of a moment that was queued."""
    connection.exec_driver_sql(
        "UPDATE schedule_fire SET task_id = ? WHERE namespace = ? AND name = ? AND fire_at = ?",
        (task, key.namespace, key.name, fire_at),
    )


def unfinished(
    connection: Connection, key: Key, *, held: bool = False
) -> list[tuple[str, str]]:
    """The tasks of a schedule that are not finished, oldest first, with their states.

    `held`: they do not change until the transaction ends.
    """
    statement = f"{_UNFINISHED} /* lock */" if held else _UNFINISHED
    rows = connection.exec_driver_sql(statement, (key.namespace, key.name))
    return [(task, state) for task, state in rows]


def records(connection: Connection, key: Key, limit: int | None = None) -> list[FireRecord]:
    """The moments of a schedule that are kept, newest first; `limit` of them."""
    pair = (key.namespace, key.name)
    rows = (
        connection.exec_driver_sql(_RECORDS, pair)
        if limit is None
        else connection.exec_driver_sql(f"{_RECORDS} LIMIT ?", (*pair, limit))
    )
    return [
        FireRecord(fire_at=at, decision=decision, reason=reason, task=task, state=state)
        for at, decision, reason, task, state in rows
    ]


def prune(connection: Connection, key: Key, moments: Iterable[int]) -> None:
    """Leave moments out of the history."""
    if rows := [(key.namespace, key.name, at) for at in moments]:
        connection.exec_driver_sql(
            "DELETE FROM schedule_fire WHERE namespace = ? AND name = ? AND fire_at = ?", rows
        )


def _progress(row: Sequence[object]) -> tuple[Key, Progress]:
    namespace, name, timing, suspended, generation, through_us, missed = row
    return Key(str(namespace), KIND, str(name)), Progress(
        timing=str(timing),
        suspended=bool(suspended),
        generation=int(str(generation)),
        through_us=int(str(through_us)),
        missed=int(str(missed)),
    )
