"""Where a resource comes from, step by step, from what was recorded. Reads only.

    resource -> file:line -> blob -> commit -> people -> plan -> what was let pass -> applied

Each step that nobody recorded is None, and is shown as not known: never guessed.
"""

from typing import Any

from sqlalchemy import Connection

from reconciler import override, recorded
from reconciler.change import Provenance
from reconciler.git import lineage
from reconciler.history import history
from reconciler.history.origin import LetPass, Origin, Written
from reconciler.history.plan import KeptChange, Record
from reconciler.resource import Recorded, git_owner
from runner.contract.kinds import Key
from runner.contract.settings import Settings


def trace(connection: Connection, settings: Settings, key: Key) -> Origin:
    """Where a recorded resource comes from."""
    resource = recorded.resources_with(connection, [key])[key]
    applied_at = connection.exec_driver_sql(
        "SELECT applied_at FROM resource WHERE namespace = ? AND kind = ? AND name = ?",
        tuple(key),
    ).scalar_one()
    change, record = _brought_by(connection, resource)
    name = _source(resource)
    state = recorded.source(connection, name) if name else None
    git = lineage.opened(settings, name) if name else None
    text: str | None = None
    written: Written | None = None
    if git is not None and resource.commit is not None:
        text = lineage.line(git, resource.blob, resource.line)
        previous = record.previous_commit if record else None
        info = lineage.touched(git, previous, resource.commit, resource.path)
        if info is not None:
            written = Written(*(info.sha, info.author, info.committer, info.subject, info.time))
    given = override.given(connection, name, resource.commit or "") if name else ()
    return Origin(
        resource=resource,
        applied_at=applied_at,
        text=text,
        source=name or None,
        url=state.url if state else None,
        ref=state.ref if state else None,
        written=written,
        record=record,
        change=change,
        provenance=provenance(record),
        let_pass=tuple(
            LetPass(item.kind.value, item.subject, item.actor, item.reason) for item in given
        ),
        entry=_entry(connection, record, change, key),
    )


def provenance(record: Record | None) -> Provenance:
    """Who vouches for the commit of an apply; empty where nobody asked."""
    return Provenance() if record is None else record.vouched


def _source(resource: Recorded) -> str:
    """The repository of a resource; empty for what a person applied by hand."""
    start = git_owner("")
    owner = resource.owner
    return owner.removeprefix(start) if owner.startswith(start) else ""


def _brought_by(
    connection: Connection, resource: Recorded
) -> tuple[KeptChange | None, Record | None]:
    """The newest apply whose plan changed the resource to what it is."""
    for change in history.changes_of(connection, resource.key, limit=50):
        record = history.record(connection, change.history)
        if record is None or record.result in ("rejected", "blocked"):
            continue
        if record.commit_sha == resource.commit and change.spec_hash == resource.spec_hash:
            return change, record
    if resource.commit is None:
        return None, None
    return None, history.of_commit(connection, _source(resource), resource.commit)


def _entry(
    connection: Connection, record: Record | None, change: KeptChange | None, key: Key
) -> int | None:
    """The entry of the log that says so: they stand in the order of the plan."""
    if record is None or record.audit_seq is None:
        return None
    if change is None:
        return record.audit_seq
    seq = record.audit_seq + 1 + change.position
    raw: Any = connection.exec_driver_sql(
        "SELECT raw FROM audit_entry WHERE seq = ?", (seq,)
    ).scalar_one_or_none()
    return seq if raw is not None and str(key).encode() in bytes(raw) else record.audit_seq
