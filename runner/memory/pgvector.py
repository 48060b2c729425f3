"""Memories in PostgreSQL, for all hosts: the provider `pgvector`.

    connect ──> tables there? else made ──> one short transaction ──> close

Vectors are compared by the extension `vector`, exactly: a memory is bounded, and an index that
guesses would miss entries of a small memory in a large table. A memory of type `kv` needs no
extension. Three tables stand side by side, named after the option `table`: entries, what they
were embedded by, and the calls that were carried out.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors, sql

from runner.contract import clock
from runner.contract.errors import Refused, ToolFailed
from runner.contract.memory_entry import KEPT_US, agree, refuse_full
from runner.memory import Entry, Hit, Origin, Query, Space, ranking

CONNECT_S: Final = 10
STATEMENT_MS: Final = 20_000

_Connection = AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """One memory of a database. `vectors`: it compares meaning, and needs the extension."""

    url: str
    password: str | None = field(repr=False)
    table: str
    memory: str
    vectors: bool
    entries_max: int

    async def read(self, key: str) -> str | None:
        """What stands under a key."""
        found = await self._rows(
            "SELECT value FROM {entry} WHERE memory = %s AND key = %s", (self.memory, key)
        )
        return str(found[0][0]) if found else None

    async def write(
        self,
        entries: Sequence[Entry],
        origin: Origin,
        space: Space | None,
        replaces: str | None = None,
    ) -> None:
        """Keep entries, all or none, once for each call."""
        async with self._session() as session:
            await self._make(session)
            now_us = clock.now_us()
            await self._do(session, "DELETE FROM {done} WHERE at_us < %s", (now_us - KEPT_US,))
            first = await self._do(
                session,
                "INSERT INTO {done} VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (origin.call, now_us),
            )
            if first == 0:
                return
            # One writer of a memory at a time: else two would count and both fit.
            await session.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                (f"{self.table}/{self.memory}",),
            )
            if replaces is not None:
                await self._do(
                    session,
                    "DELETE FROM {entry} WHERE memory = %s AND starts_with(key, %s)",
                    (self.memory, replaces),
                )
            await self._agree(session, space)
            for one in entries:
                await self._put(session, one, origin, now_us)
            count = await self._rows_of(
                session, "SELECT count(*) FROM {entry} WHERE memory = %s", (self.memory,)
            )
            refuse_full(int(count[0][0]), self.entries_max)

    async def search(self, query: Query) -> list[Hit]:
        """The entries nearest to a query, best first."""
        if query.vector is None:
            entries = await self.under("", self.entries_max)
            return ranking.nearest(entries, query)
        wanted = _vector(query.vector)
        if wanted is None:
            return []
        async with self._session() as session:
            if not await self._there(session):
                return []
            stands = await self._space(session)
            if stands is None:
                return []
            agree(stands, query.space)
            rows = await self._rows_of(
                session,
                "SELECT key, value, 1 - (embedding <=> %s::vector) AS score FROM {entry}"
                " WHERE memory = %s AND embedding IS NOT NULL"
                " ORDER BY score DESC, key LIMIT %s",
                (wanted, self.memory, query.top_k),
            )
        return [Hit(key, value, round(score, 6)) for key, value, score in rows if score > 0]

    async def under(self, prefix: str, limit: int) -> list[Entry]:
        """The entries whose keys begin with a prefix, sorted by key."""
        rows = await self._rows(
            "SELECT key, value, task, agent, written_us FROM {entry}"
            ' WHERE memory = %s AND starts_with(key, %s) ORDER BY key COLLATE "C" LIMIT %s',
            (self.memory, prefix, limit),
        )
        return [Entry(*row) for row in rows]

    async def forget(self, keys: Sequence[str]) -> list[str]:
        """Delete entries; the keys of those that went."""
        return [str(row[0]) for row in await self._rows(_FORGET, (self.memory, list(keys)))]

    async def _put(self, session: _Connection, one: Entry, origin: Origin, now_us: int) -> None:
        values = (self.memory, one.key, one.value, origin.task, origin.agent, now_us)
        if self.vectors:
            await self._do(session, _PUT_VECTOR, (*values, _vector(one.vector)))
        else:
            await self._do(session, _PUT, values)

    async def _agree(self, session: _Connection, space: Space | None) -> None:
        if space is None:
            return
        await self._do(
            session,
            "DELETE FROM {space} WHERE memory = %s AND NOT EXISTS"
            " (SELECT 1 FROM {entry} WHERE memory = %s)",
            (self.memory, self.memory),
        )
        agree(await self._space(session), space)
        await self._do(
            session,
            "INSERT INTO {space} VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (self.memory, space.model, space.dimensions),
        )

    async def _space(self, session: _Connection) -> Space | None:
        rows = await self._rows_of(
            session, "SELECT model, dimensions FROM {space} WHERE memory = %s", (self.memory,)
        )
        return Space(*rows[0]) if rows else None

    async def _there(self, session: _Connection) -> bool:
        found = await session.execute("SELECT to_regclass(%s)", (self.table,))
        row = await found.fetchone()
        return row is not None and row[0] is not None

    async def _make(self, session: _Connection) -> None:
        """The tables, made by whoever writes first; two who do at once wait for each other."""
        if await self._ready(session):
            return
        await session.execute("SELECT pg_advisory_xact_lock(hashtextextended('orloj', 1))")
        if self.vectors:
            await self._extension(session)
        for statement in (*_TABLES, *(_VECTORS if self.vectors else ())):
            await self._do(session, statement, ())

    async def _ready(self, session: _Connection) -> bool:
        """Whether the last column that is needed is there; a change of a table locks it."""
        found = await session.execute(
            "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s",
            (self.table, "embedding" if self.vectors else "written_us"),
        )
        return await found.fetchone() is not None

    async def _extension(self, session: _Connection) -> None:
        found = await session.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'")
        if await found.fetchone() is not None:
            return
        try:
            async with session.transaction():
                await session.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except psycopg.Error:
            raise Refused(
                "the database has no extension vector, and this login cannot make it; an"
                " administrator installs pgvector and runs CREATE EXTENSION vector there"
                " (a Memory of type kv needs none)"
            ) from None

    async def _rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._session() as session:
            if not await self._there(session):
                return []
            return await self._rows_of(session, statement, values)

    async def _rows_of(
        self, session: _Connection, statement: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        found = await session.execute(self._text(statement), values)
        return await found.fetchall()

    async def _do(self, session: _Connection, statement: str, values: Sequence[Any]) -> int:
        return (await session.execute(self._text(statement), values)).rowcount

    def _text(self, statement: str) -> sql.Composed:
        names = {name: self.table + end for name, end in _ENDINGS.items()}
        # The text is one of this module's; what comes from outside goes in as a value.
        written: Any = statement
        return sql.SQL(written).format(
            **{name: sql.Identifier(table) for name, table in names.items()}
        )

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[_Connection]:
        """A connection with one transaction, committed at the end; ToolFailed."""
        try:
            session = await AsyncConnection.connect(
                self.url,
                application_name="orloj",
                connect_timeout=CONNECT_S,
                password=self.password,
                passfile="/dev/null",  # The passwords that the host knows are not the memory's.
                options=f"-c statement_timeout={STATEMENT_MS} -c client_encoding=UTF8",
            )
            async with session:
                yield session
        except (psycopg.OperationalError, errors.LockNotAvailable) as error:
            raise ToolFailed(
                f"the memory's database cannot be reached or did not answer: {_said(error)}",
                retryable=True,
            ) from None
        except psycopg.Error as error:
            raise ToolFailed(f"the memory's database refused: {_said(error)}") from None


_ENDINGS: Final = {"entry": "", "space": "_space", "done": "_done", "done_at": "_done_at"}
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS {entry} (memory text NOT NULL, key text NOT NULL,"
    " value text NOT NULL, task text NOT NULL, agent text NOT NULL,"
    " written_us bigint NOT NULL, PRIMARY KEY (memory, key))",
    "CREATE TABLE IF NOT EXISTS {space} (memory text PRIMARY KEY, model text NOT NULL,"
    " dimensions integer NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {done} (call text PRIMARY KEY, at_us bigint NOT NULL)",
    "CREATE INDEX IF NOT EXISTS {done_at} ON {done} (at_us)",
)
_VECTORS: Final = ("ALTER TABLE {entry} ADD COLUMN IF NOT EXISTS embedding vector",)

_PUT: Final = (
    "INSERT INTO {entry} (memory, key, value, task, agent, written_us)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (memory, key) DO UPDATE SET"
    " value = excluded.value, task = excluded.task, agent = excluded.agent,"
    " written_us = excluded.written_us"
)
_PUT_VECTOR: Final = (
    "INSERT INTO {entry} (memory, key, value, task, agent, written_us, embedding)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s::vector) ON CONFLICT (memory, key) DO UPDATE SET"
    " value = excluded.value, task = excluded.task, agent = excluded.agent,"
    " written_us = excluded.written_us, embedding = excluded.embedding"
)
_FORGET: Final = "DELETE FROM {entry} WHERE memory = %s AND key = ANY(%s) RETURNING key"


def _vector(packed: bytes | None) -> str | None:
    """A vector as the extension writes it; None for one without a direction, near nothing."""
    if packed is None or not any(packed):
        return None
    return "[" + ",".join(map(repr, ranking.numbers(packed))) + "]"


def _said(error: psycopg.Error) -> str:
    """The server's own short words: no statement, and no value of it."""
    return error.diag.message_primary or type(error).__name__
