"""Open the database, read it, write it, bring it to the newest schema.

SQLite in WAL mode. Writers take a lock on a file beside the database before
`BEGIN IMMEDIATE`: the kernel's lock queue is fair, while SQLite's busy handler sleeps and
lets one writer starve the others; and checkpoints, which happen at a commit, can then
never meet another one (a bug of SQLite up to 3.51.2 that corrupts the file).

A connection never crosses a fork, and nobody opens the database file by other means:
closing any descriptor of it would drop SQLite's locks in this process.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from runner.contract import errors

BUSY_TIMEOUT_MS: Final = 20_000  # A net only: the lock file is what writers wait on.
FILE_NAME: Final = "orloj.db"


class Database:
    """A handle on one database file. Open it once per process; close it at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = _engine(path)
        self._lock_path = path.with_suffix(".lock")
        self._thread_lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database; keep it short."""
        with self._foreseen(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it is durable when the block ends, or nothing of it is."""
        with (
            self._foreseen(),
            self._engine.connect() as connection,
            self.writing(connection),
        ):
            yield connection

    def prepare(self) -> None:
        """Put the file into WAL mode for good; only one process at a time can switch."""
        with self._foreseen():
            if self._journal_mode("") != "wal":
                with self._locked():
                    self._journal_mode(" = WAL")

    def _journal_mode(self, change: str) -> str:
        with self._engine.connect() as connection:
            statement = f"PRAGMA journal_mode{change}"
            return str(connection.exec_driver_sql(statement).scalar_one())

    def connect(self) -> Connection:
        """A connection to hold, for a hot path; use it with `writing`."""
        return self._engine.connect()

    @contextmanager
    def writing(self, connection: Connection) -> Iterator[None]:
        """A write transaction on a held connection."""
        with self._foreseen(), self._locked():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def _foreseen(self) -> Iterator[None]:
        """A full disk, a damaged file or a lost lock is the world's failure, said in a line."""
        try:
            yield
        except (IntegrityError, ProgrammingError):
            raise  # Ours: a statement that was wrong.
        except DatabaseError as error:
            raise errors.DatabaseUnavailable(
                f"{self.path}: {str(error.orig)[:200]}; check free space, the folder's owner "
                "and the disk, then run `PRAGMA integrity_check` on a copy"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread_lock:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Let go of every connection."""
        with self._locked():
            self._engine.dispose()


def open_database(home: Path) -> Database:
    """The database of a home, made and migrated if need be; DatabaseUnavailable."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its other files the mode of this one.
        (home / FILE_NAME).touch(mode=0o600)
        database = Database(home / FILE_NAME)
        database.prepare()
        migrate(database)
    except (OSError, OperationalError) as error:
        raise errors.DatabaseUnavailable(
            f"cannot open {home / FILE_NAME}: {error.__class__.__name__}: "
            f"{str(error).splitlines()[0]}; check the folder's owner and free space"
        ) from error
    return database


def migrate(database: Database) -> None:
    """Apply every step this database has not seen; refuse one newer than this program."""
    steps = migrations()
    with database.read() as connection:
        version = _version(connection)
    if version > len(steps):
        raise errors.DatabaseUnavailable(
            f"{database.path} has schema {version}, this program knows {len(steps)}; "
            "run the newer orloj that wrote it"
        )
    if version == len(steps):
        return
    with database.write() as connection:
        seen = _version(connection)
        for number, script in enumerate(steps[seen:], seen + 1):
            for statement in _statements(script):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"PRAGMA user_version = {number}")


def migrations() -> list[str]:
    """The scripts of all steps, in order."""
    folder = resources.files("runner.contract.migrations")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def _statements(script: str) -> Iterator[str]:
    lines = (line for line in script.splitlines() if not line.lstrip().startswith("--"))
    for statement in "\n".join(lines).split(";"):
        if statement.strip():
            yield statement


def _version(connection: Connection) -> int:
    return int(connection.execute(text("PRAGMA user_version")).scalar_one())


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: object, _record: object) -> None:
        # The driver must not begin transactions of its own: ours are IMMEDIATE.
        connection.isolation_level = None  # type: ignore[attr-defined]
        for pragma in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "mmap_size = 0",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    return engine
