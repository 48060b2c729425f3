"""Every SQL statement on reservations, on who waits for room, and on the clock of the limits.

All run inside the dispatcher's or a person's write transaction, after `moment`, which locks
the limits where several hosts write.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner.contract.database import dialect
from runner.contract.task_state import FINISHED, TaskState
from runner.limit.limits import Dimension, Limit, free_at

GRACE_US: Final = 10_000_000
"""For how long a task that was due keeps its place before others may pass it."""
WOKEN_MAX: Final = 100
PRUNED_MAX: Final = 1_000
_PLACES: Final = Dimension.CONCURRENT_TASKS
_COUNTED = "dimension = ? AND scope = ?"
_WAIT = "task_id, dimension, scope, amount, bound, since_at, due_at"


@dataclass(frozen=True, slots=True)
class Row:
    """A reservation that is not settled."""

    number: int
    fence: int
    step: int
    agent: str
    dimension: Dimension
    scope: str
    amount: int
    bound: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A task that waits for an amount under a limit; `due_us` is when it asks by itself."""

    task: str
    dimension: Dimension
    scope: str
    amount: int
    bound: int
    since_us: int
    due_us: int


def moment(connection: Connection, now_us: int) -> int | None:
    """The time on the clock of the limits, which never goes back; None: it cannot be read.

    `now_us` is this host's wall clock, which counts where no server has one.
    """
    read_us = dialect.server_us(connection, now_us)
    if read_us is None or read_us <= 0:
        return None
    found = connection.exec_driver_sql(
        "INSERT INTO limit_clock (id, newest_at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE"
        " SET newest_at = CASE WHEN limit_clock.newest_at < excluded.newest_at"
        " THEN excluded.newest_at ELSE limit_clock.newest_at END RETURNING newest_at",
        (read_us,),
    ).scalar_one()
    return int(found)


def counted(connection: Connection, limit: Limit, at_us: int) -> int:
    """What counts under a limit: what is open, and what was settled within its window."""
    window_us = limit.dimension.window_us
    since_us = 0 if window_us is None else at_us - window_us
    found = connection.exec_driver_sql(
        f"SELECT (SELECT COALESCE(SUM(amount), 0) FROM reservation WHERE {_COUNTED}"
        " AND settled_at IS NULL) + (SELECT COALESCE(SUM(amount), 0) FROM reservation"
        f" WHERE {_COUNTED} AND settled_at >= ?)",
        (limit.dimension.value, limit.scope, limit.dimension.value, limit.scope, since_us),
    ).scalar_one()
    return int(found)


def open_rows(connection: Connection, task: str) -> list[Row]:
    """What a task has set aside and not settled, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT number, fence, step, agent, dimension, scope, amount, bound FROM reservation"
        " WHERE task_id = ? AND settled_at IS NULL ORDER BY number",
        (task,),
    )
    return [
        Row(row[0], row[1], row[2], row[3], Dimension(row[4]), row[5], row[6], row[7])
        for row in rows
    ]


def holds_place(connection: Connection, task: str, scope: str) -> bool:
    """Whether a task has its place among those of an agent."""
    rows = open_rows(connection, task)
    return any((row.dimension, row.scope) == (_PLACES, scope) for row in rows)


def reserve(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Set amounts aside.

    Rows are (task, fence, step, agent, dimension, scope, amount, bound, moment).
    """
    connection.exec_driver_sql(
        "INSERT INTO reservation (task_id, fence, step, agent, dimension, scope, amount, bound,"
        " reserved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        list(rows),
    )


def settle(connection: Connection, used: Sequence[tuple[Row, int]], at_us: int) -> None:
    """Count what was used; a place among tasks is given back and leaves nothing."""
    places = [row for row, _ in used if row.dimension is _PLACES]
    counting = [(amount, at_us, row.number) for row, amount in used if row not in places]
    if counting:
        connection.exec_driver_sql(
            "UPDATE reservation SET amount = ?, settled_at = ? WHERE number = ?", counting
        )
    if places:
        connection.exec_driver_sql(
            "DELETE FROM reservation WHERE number = ?", [(row.number,) for row in places]
        )


def prune(connection: Connection, limit: Limit, at_us: int) -> None:
    """Delete what counts no more; the log keeps it."""
    if limit.dimension.window_us is not None:
        connection.exec_driver_sql(
            "DELETE FROM reservation WHERE number IN (SELECT number FROM reservation"
            f" WHERE {_COUNTED} AND settled_at < ? LIMIT {PRUNED_MAX})",
            (limit.dimension.value, limit.scope, at_us - limit.dimension.window_us),
        )


def forget_run(connection: Connection, task: str) -> None:
    """Delete what a task that is over used; one that is retried has its budget anew."""
    connection.exec_driver_sql(
        "DELETE FROM reservation WHERE dimension = ? AND scope > ? AND scope < ?",
        (Dimension.TOKENS_PER_RUN.value, f"{task} ", f"{task}!"),
    )


def waiting(connection: Connection, task: str) -> Wait | None:
    """What a task waits for, or was woken for and has not asked again."""
    row = connection.exec_driver_sql(
        f"SELECT {_WAIT} FROM limit_wait WHERE task_id = ?", (task,)
    ).one_or_none()
    return None if row is None else _wait(row)


def wait(connection: Connection, made: Wait) -> None:
    """Let a task wait; one that waited already waits for this now."""
    connection.exec_driver_sql(
        f"INSERT INTO limit_wait ({_WAIT}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (task_id) DO UPDATE SET dimension = excluded.dimension,"
        " scope = excluded.scope, amount = excluded.amount, bound = excluded.bound,"
        " due_at = excluded.due_at",
        (made.task, made.dimension.value, made.scope, made.amount, made.bound)
        + (made.since_us, made.due_us),
    )


def forget_wait(connection: Connection, task: str) -> None:
    """A task waits no more."""
    connection.exec_driver_sql("DELETE FROM limit_wait WHERE task_id = ?", (task,))


def ahead(connection: Connection, limit: Limit, place: tuple[int, str], at_us: int) -> int:
    """What those need who waited before `place`, and did not let their turn go by."""
    since_us, task = place
    found = connection.exec_driver_sql(
        f"SELECT COALESCE(SUM(amount), 0) FROM limit_wait WHERE {_COUNTED}"
        " AND (since_at < ? OR (since_at = ? AND task_id < ?)) AND due_at >= ?",
        (limit.dimension.value, limit.scope, since_us, since_us, task, at_us - GRACE_US),
    ).scalar_one()
    return int(found)


def due(connection: Connection, limit: Limit, need: int, at_us: int) -> int | None:
    """When an amount has room, by what is settled; None when that depends on what is open."""
    window_us = limit.dimension.window_us
    if not window_us:
        return None
    rows = connection.exec_driver_sql(
        f"SELECT settled_at, amount FROM reservation WHERE {_COUNTED}"
        " AND (settled_at IS NULL OR settled_at >= ?)",
        (limit.dimension.value, limit.scope, at_us - window_us),
    ).all()
    open_amount = sum(amount for at, amount in rows if at is None)
    settled = [(at, amount) for at, amount in rows if at is not None]
    return free_at((limit.dimension, limit.bound), open_amount, settled, need)


def advance(
    connection: Connection, what: tuple[Dimension, str], at_us: int, now_us: int
) -> None:
    """Wake those who fit now, the longest waiting first, and set the clock of the next.

    Nobody else is woken: a thousand that wait for one place are not all let run to it.
    `now_us` is this host's wall clock, by which waits end.
    """
    dimension, scope = what
    rows = connection.exec_driver_sql(
        f"SELECT {_WAIT}, (SELECT state FROM task WHERE id = task_id) FROM limit_wait"
        f" WHERE {_COUNTED} ORDER BY since_at, task_id LIMIT {WOKEN_MAX}",
        (dimension.value, scope),
    ).all()
    if not rows:
        return
    used = counted(connection, Limit(dimension, scope, 0, ""), at_us)
    for row in rows:
        one, state = _wait(row[:7]), row[7]
        if state is None or TaskState(state) in FINISHED:
            forget_wait(connection, one.task)
        elif state != TaskState.WAITING_TOKENS.value:  # Woken, and on its way to ask.
            used += one.amount if one.due_us >= at_us - GRACE_US else 0
        elif used + one.amount <= one.bound:
            used += one.amount
            _set_due(connection, one.task, at_us, now_us)
        else:
            limit = Limit(dimension, scope, one.bound, "")
            need = one.amount + used - counted(connection, limit, at_us)
            found = due(connection, limit, need, at_us)
            if found is not None:
                _set_due(connection, one.task, found, found - (at_us - now_us))
            return


def _set_due(connection: Connection, task: str, due_us: int, run_at_us: int) -> None:
    """When a waiting task is to ask again, on the clock of the limits and on the wall's."""
    moved = connection.exec_driver_sql(
        "UPDATE task SET run_at = ? WHERE id IN (SELECT id FROM task WHERE id = ?"
        " AND state = 'waiting_tokens' /* skip locked */)",
        (run_at_us, task),
    )
    if moved.rowcount:  # Else somebody is at it, and its wait as it stands is the net.
        connection.exec_driver_sql(
            "UPDATE limit_wait SET due_at = ? WHERE task_id = ?", (due_us, task)
        )


def _wait(row: Sequence[Any]) -> Wait:
    return Wait(row[0], Dimension(row[1]), row[2], row[3], row[4], row[5], row[6])
