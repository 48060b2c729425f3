"""The audit log: append and read. There is no update and no delete.

`append` works inside the transaction of what it describes, so that an entry and its fact
are durable together or not at all. `audit_check` verifies the stored bytes.
"""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from runner.contract import audit_entry, audit_header, clock, merkle, persons
from runner.contract.audit_entry import Entry, Place
from runner.contract.audit_reading import Stored as Stored
from runner.contract.audit_reading import read as read
from runner.contract.audit_reading import stored as stored
from runner.contract.database import dialect

SALT: Final = 32

End = tuple[int, bytes]
"""How many entries there are, and the leaf hash of the last one."""

_INSERT = (
    "INSERT INTO audit_entry"
    " (seq, raw, leaf, time, type, task, task_seq, agent, tool, decision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TASKS_AT_ONCE: Final = 500
_STANDING = (
    "SELECT task, (SELECT coalesce(max(task_seq), 0) FROM audit_entry WHERE task = asked.task),"
    " (SELECT coalesce(max(seq), 0) FROM audit_entry),"
    " (SELECT coalesce(max(name), '') FROM audit_log) FROM asked"
)
_DISCLOSE = "INSERT INTO disclosure (seq, field, salt, value) VALUES (?, ?, ?, ?)"


def append(connection: Connection, entries: Sequence[Entry], now_us: int) -> End | None:
    """Write entries at the end of the log; where it ends then, None without any entry."""
    if not entries:
        return None
    dialect.alone(connection, dialect.LOG)
    log, seq, counts = _standing(connection, entries)
    people = _people(connection, entries, now_us)
    parts = [audit_header.split(entry) for entry in entries]
    # One request for all salts: each costs a call into the kernel.
    salts = secrets.token_bytes(SALT * sum(len(private) for _, private in parts))
    rows: list[tuple[Any, ...]] = []
    values: list[tuple[Any, ...]] = []
    for entry, private in parts:
        seq += 1
        commitments: dict[str, str] = {}
        for field, value in private:
            salt = salts[SALT * len(values) : SALT * (len(values) + 1)]
            text = audit_entry.canonical(value)
            commitments[field] = audit_entry.commitment(salt, field, text)
            values.append((seq, field, salt, text))
        count = None
        if entry.task is not None:
            count = counts[entry.task] = counts[entry.task] + 1
        place = Place(log, seq, now_us, count, people.get(entry.actor))
        raw = audit_entry.raw(entry, place, commitments)
        rows.append(
            (seq, raw, merkle.leaf(raw), now_us, entry.type.value, entry.task, count)
            + (entry.agent, entry.tool, entry.decision)
        )
    connection.exec_driver_sql(_INSERT, rows)
    if values:
        connection.exec_driver_sql(_DISCLOSE, values)
    return seq, rows[-1][2]


def _people(connection: Connection, entries: Sequence[Entry], now_us: int) -> dict[str, str]:
    """The pseudonyms of the people among the actors."""
    found = {entry.actor for entry in entries if audit_header.personal(entry.actor)}
    return persons.known_as(connection, found, now_us) if found else {}


def _standing(
    connection: Connection, entries: Sequence[Entry]
) -> tuple[str, int, dict[str | None, int]]:
    """The log's name, how many entries it has, and each of these tasks; one question."""
    tasks = list({entry.task: None for entry in entries})
    log, seq, counts = "", 0, dict[str | None, int]()
    for first in range(0, len(tasks), _TASKS_AT_ONCE):
        some = tasks[first : first + _TASKS_AT_ONCE]
        query = f"WITH asked (task) AS (VALUES {', '.join(['(?)'] * len(some))}) {_STANDING}"
        found = connection.exec_driver_sql(query, tuple(some)).all()
        counts |= {row[0]: row[1] for row in found}
        _, _, seq, log = found[0]
    return log or _named(connection), seq, counts


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
