"""Entries of memories in an SQLite file of their own, beside the database of a home.

    worker ──> open, one short transaction, close          nothing is held between two calls

Every worker of the host writes here without asking the dispatcher, so a write says which call
it is of (`task:step`): one that is made again after a crash finds itself done and changes
nothing, even where another task wrote in between. The file is not the runner's database: what
agents keep is theirs, it may be lost without a task being lost, and an erasure reaches it by
the task that wrote an entry.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.contract.errors import Refused
from runner.contract.memory_entry import KEPT_US, Entry, Space, agree, refuse_full

KEPT: Final = "memory.sqlite"
"""Memories of the provider `sqlite`, and those that tasks have to themselves."""
CLEARED: Final = "in-memory.sqlite"
"""Memories of the provider `in-memory`: gone when a runner starts."""
BUSY_S: Final = 10.0
TASK: Final = "task:"
"""How the name of a task's own memory begins; no namespace has a colon in it."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
    memory TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, vector BLOB,
    task TEXT NOT NULL, agent TEXT NOT NULL, written_us INTEGER NOT NULL,
    PRIMARY KEY (memory, key)
);
CREATE INDEX IF NOT EXISTS entry_of_task ON entry (task);
CREATE TABLE IF NOT EXISTS space (
    memory TEXT PRIMARY KEY, model TEXT NOT NULL, dimensions INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS done (call TEXT PRIMARY KEY, at_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS done_at ON done (at_us);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Entries to keep in one memory, all or none. `replaces` is a prefix that goes first."""

    memory: str
    entries: Sequence[Entry]
    call: str
    space: Space | None
    entries_max: int
    now_us: int
    replaces: str | None = None


class MemoryFile:
    """One file of entries. It opens nothing before it is asked, and holds nothing open."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, memory: str, key: str) -> Entry | None:
        """What stands under a key."""
        found = self._read(
            "SELECT key, value, task, agent, written_us, NULL FROM entry"
            " WHERE memory = ? AND key = ?",
            (memory, key),
        )
        return found[0] if found else None

    def under(self, memory: str, prefix: str, limit: int) -> list[Entry]:
        """The entries whose keys begin with a prefix, sorted by key, at most so many."""
        return self._read(
            "SELECT key, value, task, agent, written_us, NULL FROM entry"
            " WHERE memory = ? AND key >= ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?",
            (memory, prefix, len(prefix), prefix, limit),
        )

    def all(self, memory: str, limit: int) -> list[Entry]:
        """The entries with their vectors, sorted by key, at most so many."""
        return self._read(
            "SELECT key, value, task, agent, written_us, vector FROM entry"
            " WHERE memory = ? ORDER BY key LIMIT ?",
            (memory, limit),
        )

    def space(self, memory: str) -> Space | None:
        """What the vectors of a memory were made by; None before there are any."""
        with self._opened(writes=False) as connection:
            return None if connection is None else _space(connection, memory)

    def write(self, asked: Write) -> bool:
        """Keep entries; False when this very call did already. Refused when they do not fit."""
        with self._opened(writes=True) as connection:
            assert connection is not None
            before_us = asked.now_us - KEPT_US
            connection.execute("DELETE FROM done WHERE at_us < ?", (before_us,))
            connection.execute(
                "DELETE FROM entry WHERE memory GLOB ? AND written_us < ?",
                (f"{TASK}*", before_us),
            )
            try:
                connection.execute("INSERT INTO done VALUES (?, ?)", (asked.call, asked.now_us))
            except sqlite3.IntegrityError:
                return False
            _put(connection, asked)
            return True

    def forget(self, memory: str, keys: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """Delete entries by key, or all; the key and task of each that went."""
        with self._opened(writes=True) as connection:
            assert connection is not None
            if keys is None:
                gone = _deleted(connection, "memory = ?", (memory,))
            else:
                gone = [
                    row
                    for key in keys
                    for row in _deleted(connection, "memory = ? AND key = ?", (memory, key))
                ]
            _forget_empty(connection)
            return gone

    def forget_task(self, task: str) -> int:
        """Delete what a task wrote last; how many entries went."""
        if not self.path.exists():
            return 0
        with self._opened(writes=True) as connection:
            assert connection is not None
            gone = len(_deleted(connection, "task = ?", (task,)))
            _forget_empty(connection)
            return gone

    def _read(self, statement: str, values: tuple[object, ...]) -> list[Entry]:
        with self._opened(writes=False) as connection:
            if connection is None:
                return []
            return [Entry(*row) for row in connection.execute(statement, values)]

    @contextmanager
    def _opened(self, *, writes: bool) -> Iterator[sqlite3.Connection | None]:
        """A connection in a transaction, committed at the end; None: there is no file."""
        if not writes and not self.path.exists():
            yield None
            return
        try:
            if writes:
                _make(self.path)
            connect = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            with closing(connect) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                # A call is told that its write stands: it must outlive the power as well.
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA secure_delete = ON")
                if writes:
                    connection.executescript(_SCHEMA)
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                # Whoever writes first makes the file, and then its tables.
                made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'done'")
                yield None if made.fetchone() is None else connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise Refused(f"the memory file {self.path.name} cannot be used: {error}") from None


def of_home(folder: Path) -> tuple[MemoryFile, MemoryFile]:
    """The files in a folder: what is kept, and what a start of the runner clears."""
    return MemoryFile(folder / KEPT), MemoryFile(folder / CLEARED)


def clear(folder: Path) -> None:
    """Drop what lives only as long as the runner; before its workers start."""
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            (folder / f"{CLEARED}{ending}").unlink()


def _make(path: Path) -> None:
    """The file, readable by its owner alone: what agents keep may be about people."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _put(connection: sqlite3.Connection, asked: Write) -> None:
    if asked.replaces is not None:
        prefix = asked.replaces
        _deleted(
            connection,
            "memory = ? AND key >= ? AND substr(key, 1, ?) = ?",
            (asked.memory, prefix, len(prefix), prefix),
        )
    _forget_empty(connection)
    agree(_space(connection, asked.memory), asked.space)
    if asked.space is not None:
        connection.execute(
            "INSERT INTO space VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (asked.memory, asked.space.model, asked.space.dimensions),
        )
    connection.executemany(
        "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (memory, key) DO UPDATE SET"
        " value = excluded.value, vector = excluded.vector, task = excluded.task,"
        " agent = excluded.agent, written_us = excluded.written_us",
        [
            (asked.memory, one.key, one.value, one.vector, one.task, one.agent, asked.now_us)
            for one in asked.entries
        ],
    )
    count = connection.execute(
        "SELECT count(*) FROM entry WHERE memory = ?", (asked.memory,)
    ).fetchone()[0]
    refuse_full(count, asked.entries_max)


def _space(connection: sqlite3.Connection, memory: str) -> Space | None:
    row = connection.execute(
        "SELECT model, dimensions FROM space WHERE memory = ?", (memory,)
    ).fetchone()
    return None if row is None else Space(*row)


def _deleted(
    connection: sqlite3.Connection, condition: str, values: tuple[object, ...]
) -> list[tuple[str, str]]:
    statement = f"DELETE FROM entry WHERE {condition} RETURNING key, task"  # noqa: S608
    return [(row[0], row[1]) for row in connection.execute(statement, values)]


def _forget_empty(connection: sqlite3.Connection) -> None:
    """What an empty memory was embedded by binds nobody."""
    connection.execute("DELETE FROM space WHERE memory NOT IN (SELECT memory FROM entry)")
