"""The tool calls that the journal remembers, newest task first. Reads only, with a bound."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection

from runner.contract import clock
from runner.contract.errors import ToolCode
from runner.contract.kinds import Key
from runner.governance.replay import CALLS_MAX, PastCall
from runner.governance.verdict import Call


def calls(
    connection: Connection, subjects: Iterable[Key] | None, since_us: int
) -> Iterator[PastCall]:
    """The calls of tasks queued since then, newest task first; of all subjects when None."""
    wanted, values = "", [clock.first_id(since_us)]
    if subjects is not None:
        wanted = (
            " AND namespace || '/' || subject_kind || '/' || subject_name"
            " IN (SELECT value FROM json_each(?))"
        )
        values.append(json.dumps([f"{s.namespace}/{s.kind}/{s.name}" for s in subjects]))
    rows = connection.exec_driver_sql(
        "SELECT task_id, namespace, subject_kind, subject_name, agent, phase, step.name,"  # noqa: S608
        " request, task_name, CASE phase WHEN 'denied' THEN result END"
        " FROM task JOIN step ON task_id = id"
        f" WHERE step.kind = 'tool' AND id >= ?{wanted}"
        " ORDER BY id DESC, number LIMIT ?",
        (*values, CALLS_MAX + 1),
    )
    for row in rows:
        if _unfit(row[9]):  # No rule was asked about it, and none would be.
            continue
        call = Call(row[6], _arguments(row[7]), row[8])
        yield PastCall(row[0], Key(*row[1:4]), row[4], row[5] != "denied", call)


def _unfit(result: str | None) -> bool:
    """Whether the call's arguments were none that its tool takes."""
    value = json.loads(result) if result else None
    return isinstance(value, dict) and value.get("code") == ToolCode.INVALID_INPUT


def _arguments(request: str) -> dict[str, Any]:
    """The arguments of a call; without any where the journal holds something else."""
    value = json.loads(request)
    found = value.get("arguments") if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
