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

from runner.contract import audit_entry, clock, errors, merkle
from runner.contract.audit_entry import Entry, Place
from runner.contract.database import dialect

PAGE: Final = 5_000

End = tuple[int, bytes]
"""How many entries there are, and the leaf hash of the last one."""

_INSERT = (
    "INSERT INTO audit_entry"
    " (seq, raw, leaf, time, type, task, task_seq, agent, tool, decision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_COPIES: Final = ("time", "type", "task", "task_seq", "agent", "tool", "decision")
"""The fields that stand beside the bytes as well, to search by: they must say the same."""
_VERIFY = (
    "SELECT seq, raw, leaf, time, type, task, task_seq, agent, tool, decision FROM audit_entry"
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)
_TASKS_AT_ONCE: Final = 500
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
    """What verification found. `bad_seq` is the first entry that does not hold.

    `head` is the root of the Merkle tree over the entries that hold, in hex.
    """

    entries: int
    head: str
    bad_seq: int | None = None
    problem: str | None = None

    @property
    def holds(self) -> bool:
        """Whether every entry is what was written."""
        return self.problem is None


def append(connection: Connection, entries: Sequence[Entry], now_us: int) -> End | None:
    """Write entries at the end of the log; where it ends then, None without any entry."""
    if not entries:
        return None
    dialect.alone(connection, dialect.LOG)
    seq = end(connection)[0]
    log = name(connection) or _named(connection)
    counts = _counts(connection, entries)
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
        count = None
        if entry.task is not None:
            count = counts[entry.task] = counts.get(entry.task, 0) + 1
        raw = audit_entry.raw(entry, Place(log, seq, now_us, count), commitments)
        rows.append(
            (seq, raw, merkle.leaf(raw), now_us, entry.type.value, entry.task, count)
            + (entry.agent, entry.tool, entry.decision)
        )
    connection.exec_driver_sql(_INSERT, rows)
    if disclosures:
        connection.exec_driver_sql(_DISCLOSE, disclosures)
    return seq, rows[-1][2]


def _counts(connection: Connection, entries: Sequence[Entry]) -> dict[str, int]:
    """How many entries each of these tasks has."""
    tasks = list({entry.task for entry in entries if entry.task is not None})
    counts: dict[str, int] = {}
    for first in range(0, len(tasks), _TASKS_AT_ONCE):
        some = tasks[first : first + _TASKS_AT_ONCE]
        query = (
            f"WITH asked (task) AS (VALUES {', '.join(['(?)'] * len(some))}) SELECT task,"
            " (SELECT max(task_seq) FROM audit_entry e WHERE e.task = asked.task) FROM asked"
        )
        for task, count in connection.exec_driver_sql(query, tuple(some)):
            counts[task] = count or 0
    return counts


def stands(connection: Connection, mark: End) -> bool:
    """Whether the log goes through what `append` said: its transaction became durable.

    In a write transaction, and after everybody else's who appends now: one that is still
    being committed is waited for.
    """
    dialect.alone(connection, dialect.LOG)
    found = connection.exec_driver_sql(
        "SELECT leaf FROM audit_entry WHERE seq = ?", (mark[0],)
    ).scalar_one_or_none()
    return found == mark[1]


def end(connection: Connection) -> End:
    """How many entries there are, and the leaf hash of the last one."""
    row = connection.exec_driver_sql(
        "SELECT seq, leaf FROM audit_entry ORDER BY seq DESC LIMIT 1"
    ).one_or_none()
    return (0, merkle.EMPTY) if row is None else (row[0], row[1])


def name(connection: Connection) -> str:
    """What no other log is called; empty while nothing was ever written."""
    query = "SELECT name FROM audit_log"
    return connection.exec_driver_sql(query).scalar_one_or_none() or ""


def _named(connection: Connection) -> str:
    """Give the log its name, which its entries and checkpoints carry from then on."""
    name = f"orloj/{clock.new_id()}"
    connection.exec_driver_sql("INSERT INTO audit_log (id, name) VALUES (1, ?)", (name,))
    return name


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
        yield stored(seq, raw)


def stored(seq: int, raw: bytes) -> Stored:
    """An entry from its bytes; AuditBroken when no program of ours wrote them."""
    return Stored(seq, raw, _fields(seq, raw))


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

    Whoever writes the database can rewrite all of that. What shows it is a checkpoint.
    """
    tree, log = merkle.Frontier(), name(connection)
    while True:
        # A number below 1 sorts before all that we ever wrote, and must not be passed over.
        after = tree.size or _BEFORE_ALL
        rows = connection.exec_driver_sql(_VERIFY, (after, PAGE)).all()
        leaves: list[bytes] = []
        for expected, row in enumerate(rows, tree.size + 1):
            if problem := _problem(row, expected, log):
                return Verdict(expected - 1, tree.grown(leaves).root.hex(), expected, problem)
            leaves.append(row[2])
        tree = tree.grown(leaves)
        if len(rows) < PAGE:
            break
    head = tree.root.hex()
    if problem_at := _first_bad_disclosure(connection):
        problem = "a disclosed value is not the one committed to"
        return Verdict(tree.size, head, problem_at, problem)
    return Verdict(tree.size, head)


def _problem(row: Any, expected: int, log: str) -> str | None:
    if row[0] < expected:
        return f"an entry was put before it, under the number {row[0]}"
    if row[0] != expected:
        return f"entry {expected} is missing: the next one stored is {row[0]}"
    if not isinstance(row[1], bytes):
        return "the entry's bytes were replaced"
    if row[2] != merkle.leaf(row[1]):
        return "the entry's bytes were edited: its leaf hash differs"
    fields = _parsed(row[1]) or {}
    if fields.get("v") != 1 and fields.get("log") != log:
        return "the entry was written in another log"
    return _problem_within(fields, row, expected)


def _problem_within(fields: dict[str, Any], row: Any, expected: int) -> str | None:
    if not _ours(row[1], fields):
        return "the entry's bytes are not in the one form that we write"
    if fields.get("seq") != expected:
        return "the entry says another sequence number: entries were moved"
    # A filter looks at the copies: an edited one would hide an entry that still verifies.
    for name, copy in zip(_COPIES, row[3:], strict=True):
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
