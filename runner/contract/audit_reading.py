"""Read the log: entries as they were written, and with what is disclosed of them in place.

    raw ──> fields ──> a person for a pseudonym, the withheld text for its commitment

`raw` is what was hashed and is left alone. What was erased is shown as erased. A value that
is not the one committed to is refused: whoever edits what stands beside the log is found.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection

from runner.contract import audit_entry, audit_header, errors, persons

_AT_ONCE: Final = 500
_DISCLOSED: Final = (
    "SELECT seq, field, salt, value FROM disclosure WHERE seq IN"
    " (SELECT CAST(value AS BIGINT) FROM json_each(?))"
    f" AND field IN ({', '.join(repr(field) for field in audit_header.WITHHELD)})"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it stands in the log; `fields` is its parsed JSON, with what is disclosed.

    A person stands there by name, and a withheld text in its place, unless it was erased.
    """

    seq: int
    raw: bytes
    fields: dict[str, Any]


def read(
    connection: Connection,
    *,
    task: str | None = None,
    agent: str | None = None,
    type_prefix: str | None = None,
    decision: str | None = None,
    since_us: int | None = None,
    until_us: int | None = None,
    after_seq: int = 0,
    newest: int | None = None,
) -> Iterator[Stored]:
    """Entries that match every filter given, oldest first; `newest` keeps the last N."""
    wheres = ["seq > ?"]
    values: list[Any] = [after_seq]
    for condition, value in (
        ("task = ?", task),
        ("agent = ?", agent),
        ("type LIKE ? ESCAPE '!'", type_prefix and _like(type_prefix)),
        ("decision = ?", decision),
        ("time >= ?", since_us),
        ("time < ?", until_us),
    ):
        if value is not None:
            wheres.append(condition)
            values.append(value)
    query = f"SELECT seq, raw FROM audit_entry WHERE {' AND '.join(wheres)}"
    query += " ORDER BY seq DESC LIMIT ?" if newest is not None else " ORDER BY seq"
    if newest is not None:
        query = f"SELECT seq, raw FROM ({query}) AS newest ORDER BY seq"
        values.append(newest)
    rows = iter(connection.exec_driver_sql(query, tuple(values)))
    people = _People(connection)
    while some := list(islice(rows, _AT_ONCE)):
        yield from _disclosed(connection, people, [(row[0], row[1]) for row in some])


class _People:
    """Whose a pseudonym is; asked for once, when the first one is met."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names: dict[str, str] | None = None

    def name(self, actor: str) -> str:
        """Who an actor is; the pseudonym itself where that was erased."""
        if not actor.startswith(persons.PREFIX):
            return actor
        if self._names is None:
            self._names = persons.names(self._connection)
        return self._names.get(actor, actor)


def _disclosed(
    connection: Connection, people: _People, rows: Sequence[tuple[int, object]]
) -> Iterator[Stored]:
    found = [(seq, raw, _fields(seq, raw)) for seq, raw in rows]
    values = kept(connection, [seq for seq, _, fields in found if withheld(fields)])
    for seq, raw, fields in found:
        for field in withheld(fields):
            fields[field] = _value(seq, field, fields, values.get((seq, field)))
        if isinstance(actor := fields.get("actor"), str):
            fields["actor"] = people.name(actor)
        assert isinstance(raw, bytes)
        yield Stored(seq, raw, fields)


def kept(connection: Connection, seqs: Sequence[int]) -> dict[tuple[int, str], tuple[Any, Any]]:
    """Salt and text of what entries withhold, by number and field, as they stand beside."""
    if not seqs:
        return {}
    rows = connection.exec_driver_sql(_DISCLOSED, (json.dumps(list(seqs)),))
    return {(seq, field): (salt, value) for seq, field, salt, value in rows}


def withheld(fields: dict[str, Any]) -> list[str]:
    """The fields of an entry that stand in it as commitments."""
    private = fields.get("private")
    return [] if not isinstance(private, dict) else [
        field for field in audit_header.WITHHELD if field in private
    ]  # fmt: skip


def _value(seq: int, field: str, fields: dict[str, Any], kept: tuple[Any, Any] | None) -> Any:
    if kept is None:
        return audit_header.ERASED
    if not committed(fields, field, *kept):
        raise errors.AuditBroken(
            f"the {field} of entry {seq} is not the one committed to; run `orloj audit verify`"
        )
    return json.loads(kept[1])


def committed(fields: dict[str, Any], field: object, salt: object, value: object) -> bool:
    """Whether a value is the one that an entry commits to; other types are not ours."""
    private = fields.get("private")
    return (
        isinstance(private, dict)
        and isinstance(field, str)
        and isinstance(salt, bytes)
        and isinstance(value, str)
        and private.get(field) == audit_entry.commitment(salt, field, value)
    )


def stored(seq: int, raw: bytes) -> Stored:
    """An entry by its bytes alone; AuditBroken when no program of ours wrote them."""
    return Stored(seq, raw, _fields(seq, raw))


def _fields(seq: int, raw: object) -> dict[str, Any]:
    fields = audit_entry.parsed(raw)
    if fields is None:
        raise errors.AuditBroken(
            f"entry {seq} of the audit log is not what was written; run `orloj audit verify`"
        )
    return fields


def _like(prefix: str) -> str:
    escaped = prefix.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return escaped + "%"
