"""Move a home to another database: every row, checked against its original.

    hold the roles -> lock the source -> check it -> one transaction at the target:
    empty? -> fill -> read both, row against row -> note it in the log -> commit

Nothing is taken away from the source. Until the target commits, nothing is there; after
that only the setting `database.url` says which of the two is used.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, Final

from sqlalchemy import Column, Connection, Row, Table, func, insert, select
from sqlalchemy.exc import DataError, IntegrityError

from runner.contract import audit, audit_check, errors, service, tables
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.database import Database, dialect, migrate

BATCH: Final = 2_000
ROLES: Final = ("daemon", "runner")
_TABLES: Final = tuple(tables.SourceRow.metadata.sorted_tables)
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'orloj' AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many rows of it are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What stands in the target now. `head` is the root over the `entries` of the source."""

    rows: dict[str, int]
    entries: int
    head: str


def copy(
    source: Database, target: Database, actor: str, now_us: int, progress: Progress
) -> Copied:
    """Copy everything; Refused or AlreadyRunning, and nothing was copied.

    The target gets the newest schema first, and must hold nothing else.
    """
    migrate(target)
    with ExitStack() as held:
        for role in ROLES:
            held.enter_context(service.only_one(source.home / "run", role))
        ours = held.enter_context(source.write())
        # Whoever writes appends to the log as well, and waits here until we are done.
        dialect.alone(ours, dialect.LOG)
        verdict = _settled(ours, source)
        entry = Entry(
            type=EntryType.STATE_COPIED,
            actor=actor,
            commit=_commit(ours),
            digest=f"sha256:{verdict.head}",
            reason=f"from {source.name} to {target.name}: {verdict.entries} entries",
        )
        # Written here and copied, so that both logs end in the same bytes: whoever finds the
        # old database later is told. It is durable there once the copy is.
        audit.append(ours, [entry], now_us)
        with target.write() as theirs:
            dialect.alone(theirs, dialect.SCHEMA)
            _empty(theirs, target.name)
            rows = _fill(ours, theirs, progress)
            _compare(ours, theirs, rows, progress)
    return Copied(rows, verdict.entries, verdict.head)


def _settled(ours: Connection, source: Database) -> audit_check.Verdict:
    """The log's verdict on a source that nobody works on."""
    if source.shared and (others := ours.exec_driver_sql(_OTHERS).scalar_one()):
        raise errors.Refused(
            f"other sessions of Orloj ({others}) are open on {source.name}:"
            " stop the daemons and runners of every host first"
        )
    leased = ours.exec_driver_sql("SELECT count(*) FROM task WHERE state = 'leased'")
    if count := leased.scalar_one():
        raise errors.Refused(
            f"{count} tasks are still leased by a runner that was killed, and a lease holds "
            "only in its own database: start `orloj worker`, stop it, and copy again"
        )
    verdict = audit_check.verify(ours)
    if not verdict.holds:
        raise errors.Refused(
            f"the audit log of {source.name} does not verify: entry {verdict.bad_seq}: "
            f"{verdict.problem}"
        )
    return verdict


def _fill(ours: Connection, theirs: Connection, progress: Progress) -> dict[str, int]:
    """Copy every row; how many each table has at the source."""
    counts = {table.name: _count(ours, table) for table in _TABLES}
    done = 0
    for table in _TABLES:
        theirs.execute(table.delete())  # A new database has one row: the serial 0.
        for batch in _batches(ours, table):
            _add(theirs, table, batch)
            done += len(batch)
            progress("copied", done, sum(counts.values()))
        _continue_numbers(theirs, table)
    return counts


def _compare(
    ours: Connection, theirs: Connection, counts: dict[str, int], progress: Progress
) -> None:
    """Refused unless every row is there as it is at the source, and no other."""
    done = 0
    for table in _TABLES:
        for count in _equal(ours, theirs, table):
            done += count
            progress("compared", done, sum(counts.values()))
        if _count(theirs, table) != counts[table.name]:
            raise errors.Refused(f"{table.name} has other rows than were copied")
    if audit.end(ours) != audit.end(theirs):
        raise errors.Refused("the log of the copy has another end than its original")


def _empty(connection: Connection, name: str) -> None:
    for table in _TABLES:
        count = _count(connection, table)
        fresh = table.name == "state" and _serial(connection) == 0
        if count and not fresh:
            raise errors.Refused(
                f"{name} is not empty: {table.name} has {count} rows; name a new database"
            )


def _add(connection: Connection, table: Table, batch: list[Row[Any]]) -> None:
    stored = [column for column in table.columns if column.computed is None]
    rows = [{column.name: row._mapping[column] for column in stored} for row in batch]
    try:
        connection.execute(insert(table), rows)
    except DataError as error:
        raise errors.Refused(
            f"a row of {table.name} cannot be kept there: {str(error.orig).strip()}"
        ) from error
    except IntegrityError as error:
        raise errors.Refused(f"somebody else writes {table.name} there now") from error


def _continue_numbers(connection: Connection, table: Table) -> None:
    """Let rows to come be numbered after those that brought their numbers."""
    column = table.autoincrement_column
    if column is not None and connection.dialect.name == "postgresql":
        # No sequence takes 0, which is the number of the first signing key; it stays as it is.
        newest = select(func.nullif(func.max(column), 0)).scalar_subquery()
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(select(func.setval(sequence, newest)))


def _equal(ours: Connection, theirs: Connection, table: Table) -> Iterator[int]:
    """How many rows more were found equal, batch by batch; Refused at the first other one."""
    nothing: list[Row[Any]] = []
    batches = (_batches(ours, table), _batches(theirs, table))
    for original, copied in zip_longest(*batches, fillvalue=nothing):
        for mine, yours in zip_longest(original, copied):
            if mine != yours:
                key = (mine or yours)[: len(table.primary_key)]
                raise errors.Refused(f"a row of {table.name} was not copied as it is: {key}")
        yield len(original)


def _batches(connection: Connection, table: Table) -> Iterator[list[Row[Any]]]:
    """Every row by primary key, a bounded number at a time."""
    query = select(table).order_by(*_key(table)).execution_options(yield_per=BATCH)
    rows = iter(connection.execute(query))
    while batch := list(islice(rows, BATCH)):
        yield batch


def _key(table: Table) -> list[Column[Any]]:
    return list(table.primary_key.columns)


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _serial(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT serial FROM state").scalar_one())


def _commit(connection: Connection) -> str:
    query = "SELECT applied_commit FROM source WHERE applied_commit IS NOT NULL"
    return str(connection.exec_driver_sql(query).scalars().first() or NO_COMMIT)
