"""The reading room of limits: what is in use now, and who waits. It writes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from runner.contract import audit, kinds
from runner.contract.database import dialect
from runner.contract.errors import Refused
from runner.contract.kinds import Agent, Tool
from runner.limit import rows as limit_rows
from runner.limit.limits import Dimension, Limit
from runner.limit.worst_window import Worst, worst_windows

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class LimitRecord:
    """A limit of an agent or a tool: what counts now, and how many tasks wait for room."""

    dimension: str
    scope: str
    bound: int
    used: int
    waiting: int
    next_due_us: int | None
    rule: str


def limit_records(connection: Connection, name: str | None, now_us: int) -> list[LimitRecord]:
    """Every limit that is recorded, or those of one agent or tool, and how full it is."""
    newest = connection.exec_driver_sql("SELECT newest_at FROM limit_clock").scalar()
    read_us = dialect.server_us(connection, now_us)
    at_us = max(newest or 0, read_us or 0)
    skew_us = at_us - now_us
    return [_record(connection, limit, at_us, skew_us) for limit in _declared(connection, name)]


def waits(connection: Connection) -> list[tuple[str, str, int, int]]:
    """The limits that tasks wait for: of whom, how many, and when the next looks again."""
    rows = connection.exec_driver_sql(
        "SELECT w.dimension, w.scope, count(*), MIN(t.run_at) FROM limit_wait w"
        " JOIN task t ON t.id = w.task_id WHERE t.state = 'waiting_tokens'"
        " GROUP BY w.dimension, w.scope ORDER BY w.dimension, w.scope"
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def proof(connection: Connection, name: str | None, since_us: int | None) -> list[Worst]:
    """The worst window of every limit, recomputed from the audit log."""
    entries = audit.read(connection, type_prefix="tokens.", since_us=since_us)
    found = worst_windows(entry.fields for entry in entries)
    return [one for one in found if name is None or name in _words(one.scope)]


def _record(connection: Connection, limit: Limit, at_us: int, skew_us: int) -> LimitRecord:
    waiting, due_us = connection.exec_driver_sql(
        "SELECT count(*), MIN(due_at) FROM limit_wait WHERE dimension = ? AND scope = ?",
        (limit.dimension.value, limit.scope),
    ).one()
    return LimitRecord(
        limit.dimension.value,
        limit.scope,
        limit.bound,
        limit_rows.counted(connection, limit, at_us),
        waiting,
        None if due_us is None else due_us - skew_us,
        limit.rule,
    )


def _declared(connection: Connection, name: str | None) -> Iterator[Limit]:
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name, body, path, line FROM resource"
        " WHERE kind IN ('Agent', 'Tool') ORDER BY kind, namespace, name"
    )
    for namespace, kind, resource, body, path, line in rows:
        scope, rule = f"{namespace}/{resource}", f"{path}:{line}"
        if name is not None and name not in (resource, scope):
            continue
        try:
            spec = kinds.spec_of(kind, body)
        except Refused:
            continue  # Of another version: nothing is run under it either.
        for dimension, bound in _bounds(spec):
            if bound is not None:
                yield Limit(dimension, scope, bound, rule)


def _bounds(spec: kinds.Spec) -> list[tuple[Dimension, int | None]]:
    match spec:
        case Agent(governance=rules):
            cost = rules.max_cost_per_day
            return [
                (Dimension.TOKENS_PER_MINUTE, rules.max_tokens_per_minute),
                (Dimension.COST_PER_DAY, None if cost is None else int(cost * _MILLION)),
                (Dimension.CONCURRENT_TASKS, rules.max_concurrent),
            ]
        case Tool():
            return [(Dimension.CALLS_PER_MINUTE, spec.limits.max_calls_per_minute)]
    return []


def _words(scope: str) -> set[str]:
    return {scope, *scope.split(" "), *scope.replace(" ", "/").split("/")}
