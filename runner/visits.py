"""The visits of tasks as rows. Every write names the fence of its task."""

import json
from typing import Any

from sqlalchemy import Connection

from runner.workflow import Visit, from_json

_FIELDS = ("number", "agent", "sources", "depth", "phase", "delegator", "missing", "state")
_COLUMNS = ", ".join((*_FIELDS, "error", "attempt", "step"))


def save(connection: Connection, claim: tuple[str, int], visit: Visit, now_us: int) -> bool:
    """Write a visit of a (task, fence) as it stands; False when the lease is lost."""
    value = visit.to_json()
    row = [json.dumps(one) if isinstance(one, list) else one for one in value.values()]
    finished = None if visit.state == "running" else now_us
    written = connection.exec_driver_sql(
        f"INSERT INTO visit (task_id, fence, started_at, finished_at, {_COLUMNS})"  # noqa: S608
        f" SELECT ?, ?, ?, CAST(? AS BIGINT), {_marks()} FROM task"
        " WHERE id = ? AND fence = ? AND state = 'leased' /* lock */"
        " ON CONFLICT (task_id, number) DO UPDATE SET state = excluded.state,"
        " error = excluded.error, attempt = excluded.attempt, step = excluded.step,"
        " fence = excluded.fence, finished_at = excluded.finished_at",
        (*claim, now_us, finished, *row, *claim),
    )
    return written.rowcount == 1


def of(connection: Connection, task: str) -> list[Visit]:
    """The visits of a task so far, in the order they began."""
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM visit WHERE task_id = ? ORDER BY number",  # noqa: S608
        (task,),
    ).mappings()
    return [_visit(dict(row)) for row in rows]


def _visit(row: dict[str, Any]) -> Visit:
    lists = {name: json.loads(row[name]) for name in ("sources", "missing")}
    return from_json(row | lists)


def _marks() -> str:
    # PostgreSQL does not know what a parameter in a SELECT is unless it is told.
    kinds = ("INTEGER", "TEXT", "TEXT", "INTEGER", "TEXT", "INTEGER", "TEXT", "TEXT")
    return ", ".join(f"CAST(? AS {kind})" for kind in (*kinds, "TEXT", "INTEGER", "INTEGER"))
