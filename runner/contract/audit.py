"""The audit log: append, read, verify. There is no update and no delete.

`append` works inside the transaction of what it describes, so that an entry and its fact
are durable together or not at all. Verification reads the stored bytes.
"""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner.contract import audit_entry, errors
from runner.contract.audit_entry import Entry
from runner.contract.database import dialect

PAGE: Final = 5_000

Head = tuple[int, bytes]
"""How many entries there are, and the hash over all of them."""

_INSERT = (
    "INSERT INTO audit_entry (seq, raw, leaf, chain, time, type, task, agent, tool, decision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_COPIES: Final = ("time", "type", "task", "agent", "tool", "decision")
"""The fields that stand beside the bytes as well, to search by: they must say the same."""
_VERIFY = (
    "SELECT seq, raw, leaf, chain, time, type, task, agent, tool, decision FROM audit_entry"
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)
_BEFORE_ALL: Final = -(2**63)
_DISCLOSE = "INSERT INTO disclosure (seq, field, salt, value) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it stands in the log; `fields` is its parsed JSON."""

    seq: int
    raw: bytes
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verification found. `bad_seq` is the first entry that does not hold."""

    entries: int
    head: str
    bad_seq: int | None = None
    problem: str | None = None

    @property
    def holds(self) -> bool:
        """Whether every entry is what was written."""
        return self.problem is None


def append(connection: Connection, entries: Sequence[Entry], now_us: int) -> Head | None:
    """Write entries at the end of the log; where it ends then, None without any entry."""
    if not entries:
        return None
    dialect.alone(connection, dialect.LOG)
    seq, chain = head(connection)
    rows: list[tuple[Any, ...]] = []
    disclosures: list[tuple[Any, ...]] = []
    for entry in entries:
        seq += 1
        commitments: dict[str, str] = {}
        for field, value in entry.private:
            salt = secrets.token_bytes(32)
            text = audit_entry.canonical(value)
            commitments[field] = audit_entry.commitment(salt, field, text)
            disclosures.append((seq, field, salt, text))
        raw = audit_entry.raw(entry, seq, now_us, commitments)
        leaf = audit_entry.leaf(raw)
        chain = audit_entry.chain(chain, leaf)
        rows.append(
            (seq, raw, leaf, chain, now_us, entry.type.value)
            + (entry.task, entry.agent, entry.tool, entry.decision)
        )
    connection.exec_driver_sql(_INSERT, rows)
    if disclosures:
        connection.exec_driver_sql(_DISCLOSE, disclosures)
    return seq, chain


def stands(connection: Connection, end: Head) -> bool:
    """Whether the log goes through what `append` said: its transaction became durable.

    In a write transaction, and after everybody else's who appends now: one that is still
    being committed is waited for.
    """
    dialect.alone(connection, dialect.LOG)
    found = connection.exec_driver_sql(
        "SELECT chain FROM audit_entry WHERE seq = ?", (end[0],)
    ).scalar_one_or_none()
    return found == end[1]


def head(connection: Connection) -> Head:
    """How many entries there are, and the hash over all of them."""
    row = connection.exec_driver_sql(
        "SELECT seq, chain FROM audit_entry ORDER BY seq DESC LIMIT 1"
    ).one_or_none()
    return (0, audit_entry.CHAIN_START) if row is None else (row[0], row[1])


def name(connection: Connection) -> str:
    """What no other log is called: the leaf of its first entry; empty while there is none."""
    first = connection.exec_driver_sql(
        "SELECT leaf FROM audit_entry WHERE seq = 1"
    ).scalar_one_or_none()
    return "" if first is None else bytes(first).hex()


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
    for seq, raw in connection.exec_driver_sql(query, tuple(values)):
        yield Stored(seq, raw, _fields(seq, raw))


def _fields(seq: int, raw: object) -> dict[str, Any]:
    fields = _parsed(raw)
    if fields is None:
        raise errors.AuditBroken(
            f"entry {seq} of the audit log is not what was written; run `orloj audit verify`"
        )
    return fields


def _parsed(raw: object) -> dict[str, Any] | None:
    """The fields of an entry; None for what no program of ours wrote."""
    try:
        value = json.loads(raw) if isinstance(raw, bytes) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _like(prefix: str) -> str:
    escaped = prefix.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return escaped + "%"


def verify(connection: Connection) -> Verdict:
    """Whether the log is what was written: hashes, order, no gap, copies, disclosures.

    A log cut off at its end verifies; only a copy of its head kept elsewhere shows that.
    """
    seq, chain = 0, audit_entry.CHAIN_START
    while True:
        # A number below 1 sorts before all that we ever wrote, and must not be passed over.
        after = seq or _BEFORE_ALL
        rows = connection.exec_driver_sql(_VERIFY, (after, PAGE)).all()
        for row in rows:
            expected = seq + 1
            if not isinstance(row[1], bytes):
                return Verdict(seq, chain.hex(), expected, "the entry's bytes were replaced")
            leaf = audit_entry.leaf(row[1])
            chain = audit_entry.chain(chain, leaf)
            if problem := _problem(row, expected, leaf, chain):
                return Verdict(seq, chain.hex(), expected, problem)
            seq = expected
        if len(rows) < PAGE:
            break
    if problem_at := _first_bad_disclosure(connection):
        return Verdict(
            seq, chain.hex(), problem_at, "a disclosed value is not the one committed to"
        )
    return Verdict(seq, chain.hex())


def _problem(row: Any, expected: int, leaf: bytes, chain: bytes) -> str | None:
    if row[0] < expected:
        return f"an entry was put before it, under the number {row[0]}"
    if row[0] != expected:
        return f"entry {expected} is missing: the next one stored is {row[0]}"
    if row[2] != leaf:
        return "the entry's bytes were edited: its leaf hash differs"
    if row[3] != chain:
        return "the chain is broken here: an entry was inserted, reordered or rewritten"
    return _problem_within(_parsed(row[1]) or {}, row, expected)


def _problem_within(fields: dict[str, Any], row: Any, expected: int) -> str | None:
    if not _ours(row[1], fields):
        return "the entry's bytes are not in the one form that we write"
    if fields.get("seq") != expected:
        return "the entry says another sequence number: entries were moved"
    # A filter looks at the copies: an edited one would hide an entry that still verifies.
    for name, copy in zip(_COPIES, row[4:], strict=True):
        if fields.get(name) != copy:
            return f"the copy of its {name} that filters look at was edited"
    return None


def _ours(raw: bytes, fields: dict[str, Any]) -> bool:
    """Whether bytes are the only ones for their fields: a key given twice has two readings."""
    try:
        return audit_entry.encoded(fields) == raw
    except ValueError:
        return False


def _first_bad_disclosure(connection: Connection) -> int | None:
    rows = connection.exec_driver_sql(
        "SELECT d.seq, d.field, d.salt, d.value, e.raw FROM disclosure d"
        " LEFT JOIN audit_entry e ON e.seq = d.seq ORDER BY d.seq"
    )
    for seq, field, salt, value, raw in rows:
        if not _disclosed(raw, field, salt, value):
            return int(seq)
    return None


def _disclosed(raw: object, field: object, salt: object, value: object) -> bool:
    """Whether a value is the one that an entry commits to; other types are not ours."""
    private = (_parsed(raw) or {}).get("private")
    return (
        isinstance(private, dict)
        and isinstance(field, str)
        and isinstance(salt, bytes)
        and isinstance(value, str)
        and private.get(field) == audit_entry.commitment(salt, field, value)
    )
