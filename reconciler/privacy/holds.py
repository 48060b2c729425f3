"""Legal holds: what is covered is not erased, by nobody, until the hold is released.

A hold covers the whole log, a namespace, an agent's tasks or one task. Setting and releasing
one are entries; the reason stands beside the log, as any free text.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from reconciler.privacy.record import LegalHold, Scope
from runner.contract import audit, clock, errors
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType


def standing(connection: Connection) -> list[LegalHold]:
    """The holds that stand, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT id, scope, subject, person, reason, set_at FROM legal_hold ORDER BY id"
    )
    return [LegalHold(row[0], Scope(row[1]), *row[2:]) for row in rows]


def put(
    connection: Connection, scope: Scope, subject: str, *, actor: str, reason: str, now_us: int
) -> LegalHold:
    """Set a hold, with its entry; Refused for one that stands already."""
    if any((one.scope, one.subject) == (scope, subject) for one in standing(connection)):
        raise errors.Refused(f"{scope.value} {subject}".strip() + " is under a hold already")
    hold = LegalHold(clock.new_id(), scope, subject, actor, reason, now_us)
    connection.exec_driver_sql(
        "INSERT INTO legal_hold VALUES (?, ?, ?, ?, ?, ?)",
        (hold.id, scope.value, subject, actor, reason, now_us),
    )
    audit.append(connection, [_entry(EntryType.HOLD_SET, hold, actor, reason)], now_us)
    return hold


def release(connection: Connection, id: str, actor: str, reason: str, now_us: int) -> LegalHold:
    """Release a hold by its id or the beginning of it; NotFound."""
    found = [hold for hold in standing(connection) if hold.id.startswith(id)]
    if len(found) != 1:
        raise errors.NotFound(f"no hold {id} stands alone: `orloj audit hold list` has them")
    connection.exec_driver_sql("DELETE FROM legal_hold WHERE id = ?", (found[0].id,))
    entry = _entry(EntryType.HOLD_RELEASED, found[0], actor, reason)
    audit.append(connection, [entry], now_us)
    return found[0]


def covering(
    holds: Sequence[LegalHold], *, task: str | None, namespace: str | None, agents: set[str]
) -> LegalHold | None:
    """The first hold that covers something; None: it may be erased."""
    for hold in holds:
        subjects: set[str | None] = {
            Scope.LOG: set[str | None]([""]),
            Scope.NAMESPACE: {namespace},
            Scope.AGENT: set[str | None](agents),
            Scope.TASK: {task},
        }[hold.scope]
        if hold.subject in subjects:
            return hold
    return None


def _entry(kind: EntryType, hold: LegalHold, actor: str, reason: str) -> Entry:
    return Entry(
        type=kind,
        actor=actor,
        commit=NO_COMMIT,
        resource=f"hold/{hold.id}",
        outcome=hold.scope.value,
        reason=reason,
        private=(("subject", hold.subject),) if hold.subject else (),
    )
