"""What was done to the recorded state, by whom and how it ended; and what was refused.

    apply ──in its transaction──> a row here, and a row of `revision_plan` for each change
    a commit that is refused ──the first time──> a row here

The rows are for people who look back; what must be kept for ever is in the audit log.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from sqlalchemy import Connection

from reconciler import plan
from reconciler.change import Action, Plan
from reconciler.history import plan as history_plan
from reconciler.history.plan import KeptChange, Record
from reconciler.history.trigger import Result, Trigger
from runner.contract import clock
from runner.contract.kinds import Key

CHANGES_MAX: Final = 1_000
"""Changes of one plan that are kept; the audit log names all of them."""
EXPLAINED_MAX: Final = 50
KEPT_MAX: Final = 100_000
"""Changes of all plans that are kept; the oldest make room."""


_COLUMNS: Final = tuple(Record.__dataclass_fields__)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM history"  # noqa: S608
_MARKS: Final = ", ".join("?" for _ in _COLUMNS[1:])
_INSERT: Final = (
    f"INSERT INTO history ({', '.join(_COLUMNS[1:])}) VALUES ({_MARKS})"  # noqa: S608
    " RETURNING id"
)
_KEEP: Final = (
    "INSERT INTO revision_plan (history_id, position, namespace, kind, name, action, reason,"
    " generation, path, line, spec_hash, fields, previous)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CHANGES: Final = (
    "SELECT history_id, position, namespace, kind, name, action, reason, generation, path,"
    " line, spec_hash, fields, previous FROM revision_plan"
)


def prepared(planned: Plan) -> Plan:
    """The plan with the fields that the history keeps: before the transaction, for it costs."""
    return plan.explain(planned, EXPLAINED_MAX)


def write(
    connection: Connection,
    planned: Plan,
    trigger: Trigger,
    *,
    audit_seq: int | None,
    now_us: int,
) -> int:
    """Remember an apply in its transaction; the number of its row."""
    row = _row(planned, trigger, trigger.result, audit_seq, now_us)
    return _keep(connection, replace(row, serial=planned.target.serial + 1), planned)


def refuse(
    connection: Connection, planned: Plan, trigger: Trigger, result: Result, now_us: int
) -> int:
    """Remember that a commit was refused; `planned` may have no change."""
    return _keep(connection, _row(planned, trigger, result, None, now_us), planned)


def mark(connection: Connection, number: int, result: Result, message: str = "") -> None:
    """Say how something ended after all."""
    connection.exec_driver_sql(
        "UPDATE history SET result = ?, message = ? WHERE id = ?",
        (result.value, message, number),
    )


def records(
    connection: Connection, *, source: str | None = None, limit: int = 20
) -> list[Record]:
    """The newest rows, newest first; all or one repository's."""
    rows = connection.exec_driver_sql(
        f"{_SELECT} WHERE (CAST(? AS TEXT) IS NULL OR source = ?) ORDER BY id DESC LIMIT ?",
        (source, source, limit),
    )
    return [_record(row) for row in rows]


def record(connection: Connection, number: int) -> Record | None:
    """One row; None when there is none of this number."""
    row = connection.exec_driver_sql(f"{_SELECT} WHERE id = ?", (number,)).one_or_none()
    return None if row is None else _record(row)


def of_commit(connection: Connection, source: str, commit: str) -> Record | None:
    """The newest apply of a commit; None when the history has none."""
    row = connection.exec_driver_sql(
        f"{_SELECT} WHERE source = ? AND commit_sha = ?"
        " AND result NOT IN ('rejected', 'blocked') ORDER BY id DESC LIMIT 1",
        (source, commit),
    ).one_or_none()
    return None if row is None else _record(row)


def changes(connection: Connection, number: int) -> list[KeptChange]:
    """What is kept of the changes of a row, in the order of the plan."""
    rows = connection.exec_driver_sql(
        f"{_CHANGES} WHERE history_id = ? ORDER BY position", (number,)
    )
    return [_change(row) for row in rows]


def changes_of(connection: Connection, key: Key, limit: int = 100) -> list[KeptChange]:
    """What is kept of the changes of one resource, newest first."""
    rows = connection.exec_driver_sql(
        f"{_CHANGES} WHERE kind = ? AND name = ? AND namespace = ? ORDER BY id DESC LIMIT ?",
        (key.kind, key.name, key.namespace, limit),
    )
    return [_change(row) for row in rows]


def keys_ever(connection: Connection, name: str) -> list[Key]:
    """The resources of a name that any kept plan changed, gone ones included."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT namespace, kind, name FROM revision_plan WHERE name = ?", (name,)
    )
    return sorted(Key(*row) for row in rows)


def _row(
    planned: Plan, trigger: Trigger, result: Result, audit_seq: int | None, now_us: int
) -> Record:
    target, counts = planned.target, planned.counts
    began_us = trigger.began_us
    return Record(
        id=0,
        source=target.source,
        owner=target.owner,
        cause=trigger.cause.value,
        actor=trigger.actor or target.owner,
        result=result.value,
        message=trigger.message,
        commit_sha=target.commit,
        previous_commit=target.previous_commit,
        fast_forward=target.fast_forward,
        plan_id=planned.id,
        serial=target.serial,
        author=target.author,
        subject=target.subject,
        created=counts.get(Action.CREATE, 0),
        updated=counts.get(Action.UPDATE, 0),
        deleted=counts.get(Action.DELETE, 0),
        unchanged=planned.unchanged,
        provenance=json.dumps(asdict(target.provenance), ensure_ascii=False),
        detail=history_plan.detail(planned),
        audit_seq=audit_seq,
        duration_us=None if began_us is None else clock.boot_us() - began_us,
        recorded_at=now_us,
    )


def _keep(connection: Connection, row: Record, planned: Plan) -> int:
    values = tuple(getattr(row, name) for name in _COLUMNS[1:])
    number = int(connection.exec_driver_sql(_INSERT, values).scalar_one())
    kept = history_plan.kept(planned, number, CHANGES_MAX)
    if not kept:
        return number
    connection.exec_driver_sql(
        _KEEP,
        [
            (change.history, change.position, *change.key, change.action, change.reason)
            + (change.generation, change.path, change.line, change.spec_hash)
            + (change.fields, change.previous)
            for change in kept
        ],
    )
    connection.exec_driver_sql(
        "DELETE FROM revision_plan WHERE id <= (SELECT max(id) FROM revision_plan) - ?",
        (KEPT_MAX,),
    )
    return number


def _record(row: Sequence[Any]) -> Record:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Record(**{**values, "fast_forward": bool(values["fast_forward"])})


def _change(row: Sequence[Any]) -> KeptChange:
    return KeptChange(row[0], row[1], Key(*row[2:5]), *row[5:])
