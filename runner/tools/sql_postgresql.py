"""One statement on one PostgreSQL database, on a connection of its own.

    connect -> judge the login -> set the role -> judge what is called -> begin
      read:   READ ONLY, look -> judge -> a cursor over it, fetch -> judge -> roll back
      else:   look -> judge -> execute -> constraints now -> judge -> commit

A cursor is for queries alone, and every statement is prepared, so that a second one behind a
semicolon is an error of the server. A snapshot is taken before the statement: from then on
the server refuses to make the transaction writable. What is judged is in `sql_rights`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor

from runner.contract.errors import ToolFailed
from runner.functions.sql_answer import Answer, as_json
from runner.tools import sql_rights, sql_text
from runner.tools.sources import Reach
from runner.tools.sql_rights import Ground
from runner.tools.sql_text import Statement

CONNECT_S: Final = 10
LOCK_MS: Final = 5_000
LOST_MS: Final = 10_000
BATCH: Final = 100

_BOOL, _BYTEA = 16, 17
_INTEGERS: Final = frozenset({20, 21, 23, 26})
_FLOATS: Final = frozenset({700, 701})
_BEGIN: Final = {
    "read": "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "write": "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE",
    "admin": "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE",
}
_UNCHANGED: Final = (
    "SELECT pg_catalog.current_setting('transaction_read_only') = $1 AND current_user = $2"
)

Session = AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Run:
    """A statement with its parameters, on a session that was judged fit for it."""

    session: Session
    to: Reach
    ground: Ground
    statement: Statement
    parameters: list[Any]
    bytes_max: int

    def answer(self, columns: list[str]) -> Answer:
        """An empty answer."""
        return Answer(columns, self.to.source.max_rows, self.bytes_max)


async def query(
    to: Reach, text: str, parameters: list[Any], *, limit_s: float, bytes_max: int
) -> str:
    """`{"columns", "rows", "truncated"}` as JSON; ToolFailed."""
    statement = sql_text.read(text, to.access)
    return await carry_out(to, statement, parameters, limit_s=limit_s, bytes_max=bytes_max)


async def carry_out(
    to: Reach, statement: Statement, parameters: list[Any], *, limit_s: float, bytes_max: int
) -> str:
    """The same for a text that was looked at: here the server alone holds it."""
    try:
        async with _session(to, limit_s) as session:
            ground = await _judged(session, to, statement)
            run = _Run(session, to, ground, statement, parameters, bytes_max)
            answer = await _carried_out(run)
            # Only here, so that whatever goes wrong before is rolled back with the session.
            await session.execute("ROLLBACK" if to.access == "read" else "COMMIT")
            return answer
    except psycopg.Error as error:
        raise _explained(to.name, error) from None


@asynccontextmanager
async def _session(to: Reach, limit_s: float) -> AsyncIterator[Session]:
    settings = {
        "client_encoding": "UTF8",
        "search_path": "public",
        "standard_conforming_strings": "on",
        "row_security": "on",
        "bytea_output": "hex",
        "datestyle": "ISO",
        "intervalstyle": "iso_8601",
        "timezone": "UTC",
        "default_transaction_read_only": "on" if to.access == "read" else "off",
        "statement_timeout": f"{max(int(limit_s * 1_000), 1)}",
        "lock_timeout": f"{LOCK_MS}",
        "idle_in_transaction_session_timeout": f"{max(int(limit_s * 2_000), 1_000)}",
    }
    session = await AsyncConnection.connect(
        to.source.url or "",
        autocommit=True,
        cursor_factory=AsyncRawCursor,
        application_name="orloj",
        connect_timeout=CONNECT_S,
        password=to.password,
        passfile="/dev/null",  # The passwords that the host knows are not the source's.
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=LOST_MS,
    )
    try:
        yield session
    finally:
        await session.close()


async def _judged(session: Session, to: Reach, statement: Statement) -> Ground:
    """What the statement may touch, once login and calls are found harmless; ToolFailed."""
    source = to.source
    strong = await _rows(session, sql_rights.STRONG_ROLE, sql_rights.DANGEROUS_ROLES)
    sql_rights.judge_role(to.name, strong[0][0] if strong else None)
    if source.role is not None:
        await _rows(session, "SELECT pg_catalog.set_config('role', $1, false)", source.role)
    silent = await _rows(session, sql_rights.SILENT)
    sql_rights.judge_silent(source, to.name, [name for (name,) in silent])
    if statement.called:
        called = await _rows(session, sql_rights.CALLED, sorted(statement.called))
        sql_rights.judge_calls(source, called)
    return await _ground(session, to)


async def _ground(session: Session, to: Reach) -> Ground:
    tables = sql_rights.qualified({*to.source.tables, *to.source.writable})
    parts = await _rows(session, sql_rights.TOUCHABLE, tables) if tables else []
    foreign = await _rows(session, sql_rights.FOREIGN)
    return sql_rights.ground(to.source, parts, [oid for (oid,) in foreign])


async def _carried_out(run: _Run) -> str:
    reading = run.to.access == "read"
    user = (await _rows(run.session, "SELECT current_user::text"))[0][0]
    await run.session.execute(_BEGIN[run.to.access])
    await _rows(run.session, "SELECT 1")  # The snapshot.
    if run.to.access != "admin":
        # Its names are looked up, views are opened, and nothing is run or planned: what it
        # meets on its way could tell what it saw, or reach another server.
        await run.session.execute(f"PREPARE looked AS {run.statement.text}", prepare=True)
        await _judge_locks(run)
    answer = await (_fetched(run) if reading else _executed(run))
    if await _rows(run.session, _UNCHANGED, "on" if reading else "off", user) != [(True,)]:
        raise ToolFailed("the statement changed its own role or access")
    return answer


async def _fetched(run: _Run) -> str:
    cursor = run.session.cursor()
    declared = f"DECLARE answer NO SCROLL CURSOR FOR {run.statement.text}"
    await cursor.execute(declared, run.parameters, prepare=True)
    answer: Answer | None = None
    more = True
    while more:
        await cursor.execute(f"FETCH FORWARD {BATCH} FROM answer", prepare=True)
        columns, rows = _result(cursor)
        await _judge_locks(run)
        answer = answer or run.answer(columns)
        more = all([answer.add(row) for row in rows]) and len(rows) == BATCH
    assert answer is not None
    return answer.text()


async def _executed(run: _Run) -> str:
    cursor = run.session.cursor()
    await cursor.execute(run.statement.text, run.parameters, prepare=True)
    columns, rows = _result(cursor)
    changed = max(cursor.rowcount, 0)
    # Checks that wait for the end would touch tables after they were counted.
    await run.session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    await _judge_locks(run)
    answer = run.answer(columns)
    for row in rows:
        answer.add(row)
    return answer.text(changed=changed)


async def _judge_locks(run: _Run) -> None:
    ground, to = run.ground, run.to
    locks = await _rows(run.session, sql_rights.LOCKS)
    touched = sql_rights.judge_locks(locks, ground, to.access)
    if touched is not None and to.access == "admin":
        # A table that this statement defines is known by its name only now.
        ground = sql_rights.joined(ground, await _ground(run.session, to))
        touched = sql_rights.judge_locks(locks, ground, to.access)
    if touched is not None:
        found = await _rows(run.session, "SELECT $1::bigint::oid::regclass::text", touched)
        raise ToolFailed(f"{to.access} of {to.name} does not reach {found[0][0]}")


async def _rows(session: Session, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    cursor = await session.execute(statement, values or None, prepare=True)
    return await cursor.fetchall()


def _result(cursor: psycopg.AsyncCursor[Any]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows, from the texts that the server sent."""
    result = cursor.pgresult
    if result is None or result.nfields == 0:
        return [], []
    columns = [(result.fname(number) or b"").decode() for number in range(result.nfields)]
    types = [result.ftype(number) for number in range(result.nfields)]
    return columns, [
        [_value(result.get_value(row, number), type) for number, type in enumerate(types)]
        for row in range(result.ntuples)
    ]


def _value(data: bytes | None, type: int) -> object:
    """Numbers that Python holds as they are and truth; all else as PostgreSQL writes it."""
    if data is None:
        return None
    if type == _BOOL:
        return data == b"t"
    if type in _INTEGERS:
        return as_json(int(data))
    if type in _FLOATS:
        return as_json(float(data))
    if type == _BYTEA:
        return as_json(bytes.fromhex(data[2:].decode()))
    return data.decode("utf-8", "replace")


def _explained(source: str, error: psycopg.Error) -> ToolFailed:
    # Only its first line: the details of a server's error show whole rows.
    said = error.diag.message_primary or (str(error).splitlines() or [type(error).__name__])[0]
    if error.sqlstate is None:
        return ToolFailed(f"{source} cannot be reached: {said}", retryable=True)
    if error.sqlstate == "57014":
        said = "the statement was stopped: it takes too long; ask for less"
    retryable = error.sqlstate[:2] in {"08", "40", "53"} or error.sqlstate == "55P03"
    return ToolFailed(f"the database says: {said}", retryable=retryable)
