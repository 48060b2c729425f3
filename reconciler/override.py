"""What a person lets pass in one commit that would have been stopped, with their reason.

    rewrite   a history that was rewritten                 subject: nothing
    freeze    a window in which nothing is applied         subject: nothing
    destroy   the deletion of a resource                   subject: its key
    plan      a plan that waits for an approval            subject: its id

An override names one commit of one repository: for the next commit it is worth nothing.
Each stands in the audit log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from runner.contract import audit
from runner.contract.audit_entry import Entry, EntryType


class OverrideKind(StrEnum):
    """What is let pass."""

    REWRITE = "rewrite"
    FREEZE = "freeze"
    DESTROY = "destroy"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Override:
    """One of them: who, about what, and why."""

    kind: OverrideKind
    actor: str
    reason: str
    subject: str = ""


def given(connection: Connection, source: str, commit: str) -> tuple[Override, ...]:
    """What was let pass in a commit of a repository."""
    rows = connection.exec_driver_sql(
        "SELECT kind, actor, reason, subject FROM source_override"
        " WHERE source = ? AND commit_sha = ? ORDER BY kind, subject",
        (source, commit),
    )
    return tuple(Override(OverrideKind(row[0]), *row[1:]) for row in rows)


def give(
    connection: Connection,
    source: str,
    commit: str,
    overrides: Sequence[Override],
    now_us: int,
) -> None:
    """Let something pass, with an entry in the log each; the first one given stays."""
    fresh = _fresh(overrides, given(connection, source, commit))
    for item in fresh:
        connection.exec_driver_sql(
            "INSERT INTO source_override VALUES (?, ?, ?, ?, ?, ?, ?)",
            (source, commit, item.kind.value, item.subject, item.actor, item.reason, now_us),
        )
    entries = [
        Entry(
            type=EntryType.MANIFEST_OVERRIDDEN,
            actor=item.actor,
            commit=commit,
            outcome=item.kind.value,
            resource=item.subject or f"source/{source}",
            reason=item.reason or None,
        )
        for item in fresh
    ]
    audit.append(connection, entries, now_us)


def _fresh(overrides: Iterable[Override], known: Iterable[Override]) -> list[Override]:
    have = {(item.kind, item.subject) for item in known}
    first = {(item.kind, item.subject): item for item in reversed(list(overrides))}
    return [item for place, item in first.items() if place not in have]
