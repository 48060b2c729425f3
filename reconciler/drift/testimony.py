"""What the audit log says was applied last, beside what the rows say.

Whoever edits a row can edit its digest as well, and the commit that the source names. The
entries that were written with the change stay, and `orloj audit verify` says whether they
are what was written. Read once, then only what came since.
"""

import json
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.drift.comparison import Testimony
from runner.contract import persons

ENTRIES: Final = 2_000
"""Entries that one slice reads."""

_READ: Final = (
    "SELECT seq, raw FROM audit_entry WHERE type IN ('resource.created', 'resource.updated',"
    " 'resource.deleted', 'resource.moved', 'manifest.applied', 'manifest.reverted',"
    " 'drift.healed') AND seq > ? ORDER BY seq LIMIT ?"
)
"""The condition is letter by letter that of the index it is answered from."""


class Testimonies:
    """What the log says of each resource, by its key as people write it."""

    def __init__(self) -> None:
        self._seq = 0
        self._all: dict[str, Testimony] = {}
        self._applied: dict[str, str] = {}

    def get(self, subject: str) -> Testimony | None:
        """What was applied last under a key; None for what was deleted, or never applied."""
        return self._all.get(subject)

    def applied(self, owner: str) -> str | None:
        """The commit that was applied last for an owner."""
        return self._applied.get(owner)

    def advance(self, connection: Connection) -> bool:
        """Read some more of the log; whether all of it is read."""
        found = connection.exec_driver_sql(_READ, (self._seq, ENTRIES)).all()
        people = persons.names(connection) if found else {}
        for seq, raw in found:
            self._seq = int(seq)
            self._take(_fields(raw), people)
        return len(found) < ENTRIES

    def _take(self, fields: dict[str, Any], people: dict[str, str]) -> None:
        kind, actor, commit = (str(fields.get(name)) for name in ("type", "actor", "commit"))
        actor = people.get(actor, actor)
        if kind in ("manifest.applied", "manifest.reverted"):
            self._applied[actor] = commit
            return
        subject, digest = str(fields.get("resource")), str(fields.get("digest"))
        if kind == "resource.moved":
            self._all.pop(str(fields.get("outcome")), None)
        before = self._all.get(subject)
        if kind == "resource.deleted" or (kind == "drift.healed" and "digest" not in fields):
            self._all.pop(subject, None)
            return
        # What was put back is what was applied before, at its commit.
        again = kind == "drift.healed" and before is not None
        if not (again and before and (before.spec_hash, before.actor) == (digest, actor)):
            self._all[subject] = Testimony(digest, commit, actor)


def _fields(raw: object) -> dict[str, Any]:
    """The fields of an entry; none where it is not ours, which `orloj audit verify` tells."""
    try:
        value = json.loads(bytes(raw)) if isinstance(raw, bytes | memoryview) else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
