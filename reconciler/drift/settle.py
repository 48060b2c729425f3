"""What stands at odds now: what is new is told once, what is mended is gone.

Each drift is a row while it stands, with an entry in the log when it was first seen or
became another. A look that finds what the one before found writes nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler.drift.drift import WORLD, Drift, DriftKind
from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.resource import git_owner
from runner.contract import audit, audit_entry
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

ENTRIES_MAX: Final = 200
"""Drifts that get an entry each; what is beyond that is counted in one more."""
NAMED_MAX: Final = 3
RECORDED: Final = frozenset(DriftKind) - WORLD - {DriftKind.BY_HAND}
"""The kinds that a look at the recorded state finds."""

_PUT: Final = (
    "INSERT INTO drift (source, subject, kind, sentence, found, since)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source, subject, kind) DO UPDATE SET"
    " sentence = excluded.sentence, found = excluded.found"
)
_FORGET: Final = "DELETE FROM drift WHERE source = ? AND subject = ? AND kind = ?"


@dataclass(frozen=True, slots=True)
class Settled:
    """What is new since the last look, and the subjects of what is gone."""

    fresh: tuple[Drift, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found, of which kinds, under which commit."""

    source: str
    commit: str | None
    kinds: Collection[DriftKind]
    drifts: Iterable[Drift]


def drift_totals(connection: Connection) -> Mapping[str, int]:
    """How many subjects stand at odds, by repository; those without any are not there."""
    rows = connection.exec_driver_sql(
        "SELECT source, count(DISTINCT subject) FROM drift GROUP BY source ORDER BY source"
    )
    return {str(source): int(count) for source, count in rows}


def since(connection: Connection, source: str) -> Mapping[tuple[str, str], int]:
    """When each drift of a repository was first seen, by subject and kind."""
    rows = connection.exec_driver_sql(
        "SELECT subject, kind, since FROM drift WHERE source = ?", (source,)
    )
    return {(subject, kind): int(at) for subject, kind, at in rows}


def settle(database: Database, seen: Seen, now_us: int) -> Settled:
    """Make the rows say what a look found, and tell what is new and what is gone."""
    with database.read() as connection:
        settled, gone = _compared(connection, seen)
    if not settled.fresh and not gone:
        return settled
    with database.write() as connection:
        rows = [
            (seen.source, item.subject, item.kind.value, item.sentence, item.found, now_us)
            for item in settled.fresh
        ]
        if rows:
            connection.exec_driver_sql(_PUT, rows)
        if gone:
            connection.exec_driver_sql(_FORGET, [(seen.source, *place) for place in gone])
        audit.append(connection, _entries(seen, settled.fresh), now_us)
        for event in _events(seen, settled):
            events.record(connection, event, now_us)
    return settled


def named(subjects: Iterable[str]) -> str:
    """Some of the subjects by name, and how many more there are."""
    different = list(dict.fromkeys(subjects))
    more = len(different) - NAMED_MAX
    return ", ".join(different[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _compared(connection: Connection, seen: Seen) -> tuple[Settled, list[tuple[str, str]]]:
    found = {(item.subject, item.kind.value): item for item in seen.drifts if item.counts}
    kinds = {kind.value for kind in seen.kinds}
    rows = connection.exec_driver_sql(
        "SELECT subject, kind, found FROM drift WHERE source = ?", (seen.source,)
    )
    had = {(subject, kind): digest for subject, kind, digest in rows if kind in kinds}
    fresh = [item for place, item in found.items() if had.get(place) != item.found]
    gone = [place for place in had if place not in found]
    mended = {subject for subject, _ in gone} - {subject for subject, _ in found}
    return Settled(tuple(fresh), tuple(sorted(mended))), gone


def _entries(seen: Seen, fresh: tuple[Drift, ...]) -> list[Entry]:
    commit = seen.commit or audit_entry.NO_COMMIT
    owner = git_owner(seen.source)
    entries = [
        Entry(
            type=EntryType.DRIFT_DETECTED,
            actor=owner,
            commit=commit,
            resource=item.subject,
            outcome=item.kind.value,
            reason=item.sentence,
        )
        for item in fresh[:ENTRIES_MAX]
    ]
    if (more := len(fresh) - ENTRIES_MAX) > 0:
        reason = f"{more} more drifts; orloj drift lists them"
        entries.append(
            Entry(type=EntryType.DRIFT_DETECTED, actor=owner, commit=commit, reason=reason)
        )
    return entries


def _events(seen: Seen, settled: Settled) -> Iterable[Event]:
    for severity, reason, subjects, message in (
        (
            EventSeverity.WARNING,
            "Drifted",
            [item.subject for item in settled.fresh],
            "not as applied: {}; see: orloj drift",
        ),
        (EventSeverity.INFO, "DriftGone", list(settled.gone), "as applied again: {}"),
    ):
        if subjects:
            yield Event(
                source=seen.source,
                severity=severity,
                reason=reason,
                message=message.format(named(subjects)),
                commit=seen.commit,
                resource=subjects[0] if len(set(subjects)) == 1 else None,
            )
