"""What stands beside the log: values, salts and names, each against what an entry commits to.

A value may be gone because it was erased, which an `erasure.done` tells of with the digest of
a list; gone without one it is lost, and whoever took it away is not to pass for the law.
"""

import json
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from runner.contract import kinds, persons
from runner.contract.audit_entry import EntryType, parsed
from runner.contract.audit_reading import committed
from runner.contract.database import dialect

PEOPLE: Final = "person"
"""Under what pseudonyms stand in the list of an erasure; fields stand under their names."""
_AT_ONCE: Final = 5_000
_ENTRIES = (
    "SELECT seq, raw FROM audit_entry WHERE seq IN"
    " (SELECT CAST(value AS BIGINT) FROM json_each(?)) ORDER BY seq"
)
_FOREIGN: Final = "a value is disclosed for an entry that commits to none"
_VALUES = "SELECT seq, field, salt, value FROM disclosure WHERE seq > ? AND seq <= ?"
_ERASED = (
    "SELECT e.listed, a.raw FROM erasure e JOIN audit_entry a ON a.seq = e.seq ORDER BY e.seq"
)

Bad = tuple[int, str]
"""The entry that does not hold, and why."""


class Erased:
    """What the log says was erased; a list that no entry vouches for says nothing."""

    def __init__(self, connection: Connection) -> None:
        self._values: dict[str, array[int]] = {}
        self._people: set[str] = set()
        for listed, raw in connection.exec_driver_sql(_ERASED):
            if vouched(parsed(raw) or {}, listed):
                self._take(json.loads(listed))
        self._values = {name: array("q", sorted(seqs)) for name, seqs in self._values.items()}

    def _take(self, listed: dict[str, list[Any]]) -> None:
        self._people.update(listed.pop(PEOPLE, []))
        for name, seqs in listed.items():
            self._values.setdefault(name, array("q")).extend(seqs)

    def value(self, field: str, seq: int) -> bool:
        """Whether the value of a field of an entry was erased."""
        seqs = self._values.get(field, array("q"))
        at = bisect_left(seqs, seq)
        return at < len(seqs) and seqs[at] == seq

    def person(self, pseudonym: str) -> bool:
        """Whether the name behind a pseudonym was erased."""
        return pseudonym in self._people


def vouched(fields: dict[str, Any], listed: object) -> bool:
    """Whether an entry tells of the erasure of just this list."""
    return (
        fields.get("type") == EntryType.ERASURE_DONE.value
        and isinstance(listed, str)
        and fields.get("digest") == kinds.digest(listed)
    )


def first_bad(connection: Connection, beside: Sequence[int]) -> Bad | None:
    """The first entry beside which something else stands than it commits to, or nothing.

    `beside` are the numbers, in order, of the entries that commit to a value, or whose actor
    is a pseudonym that nobody is known by: no other needs to be looked at.
    """
    erased, people = Erased(connection), persons.names(connection)
    after = 0
    for first in range(0, len(beside), _AT_ONCE):
        some = beside[first : first + _AT_ONCE]
        kept: dict[int, dict[Any, tuple[Any, Any]]] = {}
        for seq, field, salt, value in dialect.rows(connection, _VALUES, (after, some[-1])):
            kept.setdefault(seq, {})[field] = (salt, value)
        for seq, raw in dialect.rows(connection, _ENTRIES, (json.dumps(list(some)),)):
            fields, values = parsed(raw) or {}, kept.pop(seq, {})
            problem = _problem(seq, fields, values, erased) or _stranger(fields, people, erased)
            if problem is not None:
                return min([seq, *kept]), problem
        if kept:
            return min(kept), _FOREIGN
        after = some[-1]
    query = "SELECT min(seq) FROM disclosure WHERE seq < 1 OR seq > ?"
    foreign = connection.exec_driver_sql(query, (after,)).scalar_one_or_none()
    return None if foreign is None else (foreign, _FOREIGN)


def _problem(
    seq: int, fields: dict[str, Any], values: dict[Any, tuple[Any, Any]], erased: Erased
) -> str | None:
    for field, (salt, value) in values.items():
        if not committed(fields, field, salt, value):
            return "a disclosed value is not the one committed to"
    private = fields.get("private")
    for field in private if isinstance(private, dict) else ():
        if field not in values and not erased.value(field, seq):
            return f"the value of its {field} is lost: no erasure.done tells of it"
    return None


def _stranger(fields: dict[str, Any], people: dict[str, str], erased: Erased) -> str | None:
    actor = fields.get("actor")
    if not isinstance(actor, str) or not actor.startswith(persons.PREFIX) or actor in people:
        return None
    if erased.person(actor):
        return None
    return f"whose pseudonym {actor} is was edited or lost: no erasure.done tells of it"
