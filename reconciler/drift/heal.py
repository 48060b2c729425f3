"""Put back what a commit declares, where the recorded state is something else.

    drifts ──those due, healable──> the commit's resources ──> one transaction:
        still this commit? ─> serial + 1 ─> rows, references, sealed values ─> log, event

Nothing new is applied: what is written was applied before, so a freeze does not stop it, and
no Task runs again. What a person applied by hand is never touched. Rows that claim to be
Git's are removed only while they are few: many of them are more likely our mistake.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler import recorded, resource_rows
from reconciler.change import Action, Change, Plan, Target
from reconciler.drift import settle
from reconciler.drift.drift import Drift, DriftKind
from reconciler.drift.look import Looked, Looks
from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.preview import Place
from reconciler.resource import Recorded, Resource
from runner.contract import audit
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import dialect
from runner.contract.kinds import Key

REMOVED_MAX: Final = 10
"""Rows that one heal removes without a person: all of them, or none if there are more."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What was put back and removed, by subject, and what was left for a person."""

    restored: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that was set right."""
        return self.restored + self.removed


def heal(
    place: Place,
    looks: Looks,
    looked: Looked,
    subjects: Iterable[str],
    *,
    now_us: int,
    person: str | None = None,
) -> Healed:
    """
    Set right what a look found, as far as it is among `subjects`; SourceError.

    Nothing if another commit was applied since. `person` is who asked for it, who may also
    remove as many rows as there are.
    """
    if looked.commit is None or looked.commit_doubted:
        return Healed()
    chosen, held = _chosen(looked.drifts, set(subjects), by_person=person is not None)
    if not chosen:
        return Healed(held_back=held)
    with place.database.read() as connection:
        declared = looks.standards.resources(connection, list(chosen))
    with place.database.write() as connection:
        state = recorded.source(connection, place.source)
        if state is None or state.applied_commit != looked.commit:
            return Healed(held_back=held)
        recorded.advance(connection, recorded.serial(connection))
        if stale := _unsealed(chosen, declared):
            connection.exec_driver_sql("DELETE FROM sealed_secret WHERE digest = ?", stale)
        for commit, changes in _by_commit(connection, place, looks, chosen, declared).items():
            resource_rows.write(connection, _plan(place, commit, changes), now_us)
        resource_rows.remove(connection, [key for key in chosen if key not in declared])
        entries = [_entry(place, looked, item, declared, person) for item in chosen.items()]
        audit.append(connection, entries, now_us)
        removed = tuple(str(key) for key in chosen if key not in declared)
        healed = Healed(tuple(str(key) for key in chosen if key in declared), removed, held)
        events.record(connection, _event(place, looked, healed), now_us)
    return healed


def _chosen(
    drifts: Iterable[Drift], subjects: set[str], *, by_person: bool
) -> tuple[dict[Key, list[Drift]], tuple[str, ...]]:
    """What to set right, by key, and the subjects of what needs a person."""
    chosen: dict[Key, list[Drift]] = defaultdict(list)
    for drift in drifts:
        if drift.healable and drift.key is not None and drift.subject in subjects:
            chosen[drift.key].append(drift)
    extra = [key for key, of in chosen.items() if any(d.kind is DriftKind.EXTRA for d in of)]
    if by_person or len(extra) <= REMOVED_MAX:
        return chosen, ()
    for key in extra:
        del chosen[key]
    return chosen, tuple(map(str, extra))


def _unsealed(
    chosen: Mapping[Key, list[Drift]], declared: Mapping[Key, Resource]
) -> list[tuple[str]]:
    """The digests under which another value may be kept."""
    return [
        (digest,)
        for key, drifts in chosen.items()
        if key in declared and any(d.kind is DriftKind.UNSEALED for d in drifts)
        for digest, _ in declared[key].sealed
    ]


def _by_commit(
    connection: Connection,
    place: Place,
    looks: Looks,
    chosen: Iterable[Key],
    declared: Mapping[Key, Resource],
) -> Mapping[str, list[Change]]:
    """The changes, under the commit that each resource was last changed at."""
    found: dict[str, list[Change]] = defaultdict(list)
    state = recorded.source(connection, place.source)
    assert state is not None
    assert state.applied_commit is not None
    for key in chosen:
        after = declared.get(key)
        if after is None:
            continue
        testimony = looks.testimonies.get(str(key))
        known = testimony is not None and (testimony.spec_hash, testimony.actor) == (
            *(after.spec_hash, place.owner),
        )
        commit = testimony.commit if testimony and known else state.applied_commit
        before = _before(connection, place, after)
        found[commit].append(Change(Action.UPDATE, key, "drift", before, after))
    return found


def _before(connection: Connection, place: Place, after: Resource) -> Recorded:
    """As much of the row as is needed to count its generation on, whatever it holds."""
    number = dialect.as_integers(connection, "generation")
    found = connection.exec_driver_sql(
        f"SELECT {number} FROM resource WHERE namespace = ? AND kind = ? AND name = ?",  # noqa: S608
        tuple(after.key),
    ).scalar_one_or_none()
    return Recorded(after.key, place.owner, None, after.path, after.line, "", "", found or 0)


def _plan(place: Place, commit: str, changes: list[Change]) -> Plan:
    target = Target(owner=place.owner, source=place.source, commit=commit)
    return Plan(id="", target=target, changes=tuple(changes), unchanged=0)


def _entry(
    place: Place,
    looked: Looked,
    item: tuple[Key, list[Drift]],
    declared: Mapping[Key, Resource],
    person: str | None,
) -> Entry:
    key, drifts = item
    after = declared.get(key)
    asked = f"; {person} asked for it" if person else ""
    return Entry(
        type=EntryType.DRIFT_HEALED,
        actor=place.owner,
        commit=str(looked.commit),
        resource=str(key),
        digest=after.spec_hash if after else None,
        rule=f"{after.path}:{after.line}" if after else None,
        outcome="restored" if after else "removed",
        reason=", ".join(sorted({drift.kind.value for drift in drifts})) + asked,
    )


def _event(place: Place, looked: Looked, healed: Healed) -> Event:
    parts = [
        f"{verb} {settle.named(subjects)}"
        for verb, subjects in (("put back", healed.restored), ("removed", healed.removed))
        if subjects
    ]
    return Event(
        source=place.source,
        severity=EventSeverity.INFO,
        reason="Healed",
        message="; ".join(parts),
        commit=looked.commit,
        resource=healed.subjects[0] if len(healed.subjects) == 1 else None,
    )
