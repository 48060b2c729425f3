"""Every SQL statement on the task table that moves a task, and on its journal.

Text statements over one held connection: through the ORM a claim costs twenty times as
much (docs/benchmarks.md). Every write of a claimed task names its fence; a statement that
changes no row means that the task belongs to somebody else now.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from runner.claim import Claimable, Ending, Held
from runner.contract.kinds import Key
from runner.contract.submission import PRIORITIES

_WAITING = "FROM task WHERE state = 'pending' AND priority = ?"
_PARKED = "state IN ('backing_off', 'waiting_approval', 'waiting_tokens')"
_LEVELS = ", ".join(f"({level})" for level in sorted(PRIORITIES.values()))
_HELD = "id = ? AND fence = ? AND state = 'leased'"
_LEASED = (
    "SELECT id, holder, fence, attempt, crashes, retry, commit_sha, manifest_set, task_name"
    " FROM task"
    " WHERE state = 'leased'"
)


def priorities(connection: Connection) -> list[int]:
    """The priorities at which tasks wait, the most urgent first; a seek for each there is."""
    rows = connection.exec_driver_sql(
        f"WITH line(level) AS (VALUES {_LEVELS}) SELECT level FROM line WHERE"
        " (SELECT 1 FROM task WHERE state = 'pending' AND priority = level LIMIT 1) IS NOT NULL"
        " ORDER BY level"
    )
    return [int(level) for level in rows.scalars()]


def lanes(
    connection: Connection, priority: int, after: str, lanes_max: int, heads_max: int
) -> list[tuple[str, list[str]]]:
    """The lanes of a priority in which tasks wait, and the oldest ids of each.

    Lanes come by name, those after `after`. The index is jumped through, a seek for each
    lane, so that the cost does not follow the number of tasks that wait.
    """
    rows = connection.exec_driver_sql(
        "WITH RECURSIVE found(name, nth) AS ("
        f"SELECT (SELECT lane {_WAITING} AND lane > ? ORDER BY lane LIMIT 1), 1 UNION ALL"
        f" SELECT (SELECT lane {_WAITING} AND lane > found.name ORDER BY lane LIMIT 1), nth + 1"
        " FROM found WHERE found.name IS NOT NULL AND nth < ?)"
        " SELECT name, (SELECT CAST(json_group_array(id) AS TEXT) FROM"
        f" (SELECT id {_WAITING} AND lane = found.name ORDER BY id LIMIT ?) AS heads)"
        " FROM found WHERE name IS NOT NULL",
        (priority, after, priority, lanes_max, priority, heads_max),
    )
    return [(row[0], json.loads(row[1])) for row in rows]


def claimable(connection: Connection, ids: Sequence[str]) -> list[Claimable]:
    """Those of these tasks that are free, in this order, and kept from other dispatchers."""
    rows = connection.exec_driver_sql(
        "SELECT id, namespace, subject_kind, subject_name, input, fence, attempt, crashes,"
        " retry, commit_sha, manifest_set, task_name, flow FROM task"
        " WHERE state = 'pending' AND id IN (SELECT value FROM json_each(?))"
        " /* skip locked */",
        (json.dumps(ids),),
    )
    found = {
        row[0]: Claimable(
            id=row[0],
            subject=Key(row[1], row[2], row[3]),
            input=json.loads(row[4]),
            fence=row[5],
            attempt=row[6],
            crashes=row[7],
            retry=json.loads(row[8]),
            commit=row[9],
            manifest_set=row[10],
            task_name=row[11],
            flow=json.loads(row[12]),
        )
        for row in rows
    }
    return [found[id] for id in ids if id in found]


def next_due_us(connection: Connection) -> int | None:
    """When the first parked task can go on by itself; None when none can."""
    found = connection.exec_driver_sql(
        f"SELECT run_at FROM task WHERE {_PARKED} ORDER BY run_at LIMIT 1"
    ).scalar_one_or_none()
    return None if found is None else int(found)


def promote(connection: Connection, now_us: int) -> None:
    """Make the tasks pending whose wait is over."""
    connection.exec_driver_sql(
        "UPDATE task SET state = 'pending' WHERE id IN (SELECT id FROM task"
        f" WHERE {_PARKED} AND run_at <= ? ORDER BY run_at LIMIT 1000"
        " /* skip locked */)",
        (now_us,),
    )


def claim(
    connection: Connection, claims: Sequence[Held], host: str, until_us: int, now_us: int
) -> None:
    """Lease tasks, in the transaction that found them claimable."""
    connection.exec_driver_sql(
        "UPDATE task SET state = 'leased', fence = ?, attempt = ?, holder = ?, lease_host = ?,"
        " lease_until = ?, commit_sha = ?, manifest_set = ?,"
        " started_at = COALESCE(started_at, ?) WHERE id = ?",
        [
            (item.fence, item.attempt, item.worker, host, until_us)
            + (item.commit, item.manifests, now_us, item.task)
            for item in claims
        ],
    )
    connection.exec_driver_sql(
        "INSERT INTO attempt (task_id, fence, worker, started_at) VALUES (?, ?, ?, ?)",
        [(item.task, item.fence, item.worker, now_us) for item in claims],
    )


def renew(connection: Connection, holders: Sequence[str], until_us: int) -> int:
    """Move the end of every lease of these workers; how many those are."""
    moved = connection.exec_driver_sql(
        "UPDATE task SET lease_until = ? WHERE holder = ? AND state = 'leased'",
        [(until_us, holder) for holder in holders],
    )
    return moved.rowcount


def leased(connection: Connection, host: str | None = None) -> list[Held]:
    """What the database says that workers hold, all or those of one host."""
    rows = connection.exec_driver_sql(
        f"{_LEASED} AND (CAST(? AS TEXT) IS NULL OR lease_host = ?)", (host, host)
    )
    return [_held(row) for row in rows]


def rescuable(connection: Connection, now_us: int, limit: int) -> list[Held]:
    """Tasks whose lease has run out, kept from other dispatchers; oldest lease first.

    `now_us` is on the clock that leases end by.
    """
    rows = connection.exec_driver_sql(
        f"{_LEASED} AND lease_until <= ? ORDER BY lease_until LIMIT ? /* skip locked */",
        (now_us, limit),
    )
    return [_held(row) for row in rows]


def _held(row: Sequence[Any]) -> Held:
    return Held(
        *(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]), row[6], row[7], row[8])
    )


def end(connection: Connection, task: str, fence: int, ending: Ending, now_us: int) -> bool:
    """Take the task out of its holder's hands; False when it was not in them."""
    return end_all(connection, [(task, fence, ending)], now_us)


def end_all(
    connection: Connection, endings: Sequence[tuple[str, int, Ending]], now_us: int
) -> bool:
    """Take tasks out of their holders' hands; False when not all were in them.

    Of several, look first which are (`in_hand`): False comes after some are written.
    """
    changed = connection.exec_driver_sql(
        "UPDATE task SET state = ?, output = COALESCE(?, output), error = ?,"
        " run_at = COALESCE(?, run_at), attempt = COALESCE(?, attempt),"
        " crashes = COALESCE(?, crashes), finished_at = ?,"
        f" holder = NULL, lease_host = NULL, lease_until = NULL WHERE {_HELD}",
        [
            (ending.state, ending.output, ending.error, ending.run_at, ending.attempt)
            + (ending.crashes, now_us if ending.finished else None, task, fence)
            for task, fence, ending in endings
        ],
    )
    if changed.rowcount != len(endings):
        return False
    connection.exec_driver_sql(
        "UPDATE attempt SET ended_at = ?, outcome = ?, error = ?"
        " WHERE task_id = ? AND fence = ?",
        [
            (now_us, ending.outcome, ending.error, task, fence)
            for task, fence, ending in endings
        ],
    )
    return True


def in_hand(connection: Connection, tasks: Sequence[str]) -> set[tuple[str, int]]:
    """Those of these tasks that are leased, with their fences; they stay so until the end
    of the transaction.
    """
    rows = connection.exec_driver_sql(
        "SELECT id, fence FROM task WHERE state = 'leased'"
        " AND id IN (SELECT value FROM json_each(?)) /* lock */",
        (json.dumps(tasks),),
    )
    return {(row[0], row[1]) for row in rows}


def keep(connection: Connection, task: str, fence: int) -> bool:
    """Whether a task is in these hands; then it stays so until the end of the transaction."""
    found = connection.exec_driver_sql(
        f"SELECT 1 FROM task WHERE {_HELD} /* lock */", (task, fence)
    )
    return found.one_or_none() is not None


def refuse(connection: Connection, task: str, error: str, now_us: int) -> None:
    """End a pending task that cannot be started."""
    connection.exec_driver_sql(
        "UPDATE task SET state = 'failed', error = ?, finished_at = ?"
        " WHERE id = ? AND state = 'pending'",
        (error, now_us, task),
    )


def begin_step(connection: Connection, row: tuple[Any, ...], now_us: int) -> bool:
    """Write a step's intent under the task's fence; False when the lease is lost.

    `row` is (task, fence, number, agent, kind, name, request, phase, result, visit). A step
    that stands there already is begun again, unless it is finished.
    """
    task, fence, number, agent, kind, name, request, phase, result, visit = row
    written = connection.exec_driver_sql(
        "INSERT INTO step (task_id, number, agent, kind, name, request, phase, result, fence,"
        " tokens_in, tokens_out, started_at, finished_at, visit)"
        f" SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, CAST(? AS BIGINT), ? FROM task"
        f" WHERE {_HELD} /* lock */"
        " ON CONFLICT (task_id, number) DO UPDATE SET phase = excluded.phase,"
        " result = excluded.result, fence = excluded.fence, request = excluded.request,"
        " name = excluded.name, kind = excluded.kind, agent = excluded.agent,"
        " started_at = excluded.started_at, finished_at = excluded.finished_at"
        " WHERE step.phase = 'begun' OR (step.phase = 'failed' AND step.kind = 'model')",
        (task, number, agent, kind, name, request, phase, result, fence, now_us)
        + (None if phase == "begun" else now_us, visit, task, fence),
    )
    return written.rowcount == 1


def end_step(connection: Connection, row: tuple[Any, ...], now_us: int) -> bool:
    """Write a step's result under the task's fence; False when the lease is lost.

    `row` is (task, fence, number, phase, result, tokens in, tokens out).
    """
    task, fence, number, phase, result, tokens_in, tokens_out = row
    written = connection.exec_driver_sql(
        "UPDATE step SET phase = ?, result = ?, tokens_in = tokens_in + ?,"
        " tokens_out = tokens_out + ?, finished_at = ?"
        " WHERE task_id = ? AND number = ? AND fence = ? AND phase = 'begun'"
        f" AND EXISTS (SELECT 1 FROM task WHERE {_HELD} /* lock */)",
        (phase, result, tokens_in, tokens_out, now_us, task, number, fence, task, fence),
    )
    if written.rowcount == 1 and (tokens_in or tokens_out):
        connection.exec_driver_sql(
            "UPDATE task SET tokens_in = tokens_in + ?, tokens_out = tokens_out + ?"
            " WHERE id = ?",
            (tokens_in, tokens_out, task),
        )
    return written.rowcount == 1


def steps(connection: Connection, task: str) -> Sequence[Any]:
    """A task's journal in order: number, agent, kind, name, phase, request, result, visit."""
    rows: Sequence[Any] = connection.exec_driver_sql(
        "SELECT number, agent, kind, name, phase, request, result, visit FROM step"
        " WHERE task_id = ? ORDER BY number",
        (task,),
    ).all()
    return rows


def ciphertext(connection: Connection, digest: str) -> str | None:
    """The sealed value under a secret's digest."""
    found = connection.exec_driver_sql(
        "SELECT ciphertext FROM sealed_secret WHERE digest = ?", (digest,)
    ).scalar_one_or_none()
    return None if found is None else str(found)
