"""Erase what is past the time that a RetentionPolicy keeps it for, a bounded slice at a time.

    policies as recorded ──> the longest time of each namespace ──> what is older, and not
    held ──> erased ──> erasure.done, which names the policy's line and commit

Without a policy nothing is erased. Under a legal hold nothing is, whatever a policy says.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from reconciler.privacy import erasure, holds
from reconciler.privacy.erasure import Erased, Order
from reconciler.privacy.record import LegalHold, Scope
from runner.contract import errors, kinds
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.kinds import RetentionPolicy
from runner.contract.kinds.retention_policy import days
from runner.contract.task_state import FINISHED

SLICE: Final = 500
"""How many tasks, or values, one transaction erases at most."""
DAY_US: Final = 86_400_000_000
_FINISHED: Final = ", ".join(f"'{state.value}'" for state in sorted(FINISHED))


@dataclass(frozen=True, slots=True)
class Placed:
    """A policy as recorded, and where it stands."""

    namespace: str
    name: str
    spec: RetentionPolicy
    rule: str
    commit: str


@dataclass(frozen=True, slots=True)
class Period:
    """How many days a namespace keeps something, and the policy that says so."""

    days: int
    by: Placed


def policies(connection: Connection) -> list[Placed]:
    """The policies as recorded now; one that cannot be read keeps everything: Refused."""
    rows = connection.exec_driver_sql(
        "SELECT namespace, name, body, path, line, commit_sha FROM resource"
        " WHERE kind = 'RetentionPolicy' ORDER BY namespace, name"
    )
    found = []
    for namespace, name, body, path, line, commit in rows:
        spec = kinds.spec_of("RetentionPolicy", body)
        assert isinstance(spec, RetentionPolicy)
        found.append(Placed(namespace, name, spec, f"{path}:{line}", commit or NO_COMMIT))
    return found


def kept(found: list[Placed], namespace: str, what: str) -> Period | None:
    """How long a namespace keeps `what`; None: for ever."""
    periods = [
        Period(days(period), placed)
        for placed in found
        if placed.namespace == namespace or placed.spec.apply_mode == "global"
        if (period := getattr(placed.spec.keep, what)) is not None
    ]
    return max(periods, key=lambda one: one.days, default=None)


def sweep(connection: Connection, actor: str, now_us: int, memories: Path) -> list[Erased]:
    """Erase one slice of what is past its time, with an entry for each policy's share."""
    standing = holds.standing(connection)
    if any(hold.scope is Scope.LOG for hold in standing):
        return []
    try:
        found = policies(connection)
    except errors.Refused:
        return []  # Recorded by another version: what it keeps is not known, so all is kept.
    done = []
    for namespace in _namespaces(connection) if found else []:
        if any((hold.scope, hold.subject) == (Scope.NAMESPACE, namespace) for hold in standing):
            continue
        for what, chosen in (("tasks", _tasks), ("disclosures", _values)):
            period = kept(found, namespace, what)
            if period is None:
                continue
            erased = Erased(memories)
            before = now_us - period.days * DAY_US
            chosen(connection, namespace, before, standing, erased)
            if erased.tasks or erased.listed:
                order = Order(actor=actor, commit=period.by.commit, rule=period.by.rule)
                done.append(erasure.done(connection, erased, order, now_us))
    return done


def _namespaces(connection: Connection) -> list[str]:
    return list(
        connection.exec_driver_sql("SELECT DISTINCT namespace FROM task ORDER BY 1").scalars()
    )


def _tasks(
    connection: Connection,
    namespace: str,
    before_us: int,
    standing: list[LegalHold],
    erased: Erased,
) -> None:
    condition, values = _free(standing)
    rows = connection.exec_driver_sql(
        f"SELECT t.id FROM task t WHERE t.namespace = ? AND t.state IN ({_FINISHED})"
        f" AND t.finished_at < ? AND coalesce(t.error, '') <> ? {condition}"
        f" ORDER BY t.id LIMIT {SLICE}",
        (namespace, before_us, erasure.ERASED, *values),
    ).scalars()
    erasure.tasks(connection, list(rows), erased)


def _values(
    connection: Connection,
    namespace: str,
    before_us: int,
    standing: list[LegalHold],
    erased: Erased,
) -> None:
    condition, values = _free(standing)
    rows = connection.exec_driver_sql(
        "SELECT d.seq, d.field FROM disclosure d JOIN audit_entry e ON e.seq = d.seq"
        f" JOIN task t ON t.id = e.task WHERE t.namespace = ? AND t.state IN ({_FINISHED})"
        f" AND e.time < ? {condition} ORDER BY d.seq, d.field LIMIT {SLICE}",
        (namespace, before_us, *values),
    ).all()
    erasure.values(connection, [(row[0], row[1]) for row in rows], erased)


def _free(standing: list[LegalHold]) -> tuple[str, tuple[str, ...]]:
    """The condition that no hold covers a task, and its values."""
    parts, values = list[str](), list[str]()
    for hold in standing:
        if hold.scope is Scope.TASK:
            parts.append("AND t.id <> ?")
        elif hold.scope is Scope.AGENT:
            parts.append(
                "AND NOT EXISTS (SELECT 1 FROM audit_entry h"
                " WHERE h.task = t.id AND h.agent = ?)"
            )
        else:
            continue
        values.append(hold.subject)
    return " ".join(parts), tuple(values)
