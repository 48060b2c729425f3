"""SQLite: one file in the home, in WAL mode with every commit synced.

Writers take a lock on a file beside the database before `BEGIN IMMEDIATE`: the kernel's
lock queue is fair, while SQLite's busy handler sleeps and lets one writer starve the
others; and checkpoints, which happen at a commit, can then never meet another one (a bug of
SQLite up to 3.51.2 that corrupts the file).

Nobody opens the database file by other means: closing any descriptor of it would drop
SQLite's locks in this process.
"""

import fcntl
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from runner.contract import clock, errors, wake
from runner.contract.database.handle import Database, Leadership

BUSY_TIMEOUT_MS: Final = 20_000  # A net only: the lock file is what writers wait on.
FILE_NAME: Final = "orloj.db"


class SqliteDatabase(Database):
    """The database file of a home."""

    shared: ClassVar[bool] = False

    def __init__(self, home: Path) -> None:
        self.path = home / FILE_NAME
        super().__init__(home, str(self.path), _engine(self.path))
        self._lock_path = self.path.with_suffix(".lock")
        self._thread_lock = threading.Lock()

    def prepare(self) -> None:
        """Put the file into WAL mode for good; only one process at a time can switch."""
        with self.foreseen():
            if self._journal_mode("") != "wal":
                with self._alone():
                    self._journal_mode(" = WAL")

    def _journal_mode(self, change: str) -> str:
        with self._engine.connect() as connection:
            statement = f"PRAGMA journal_mode{change}"
            return str(connection.exec_driver_sql(statement).scalar_one())

    def emptied(self) -> bool:
        """Put the write-ahead log into the file, and cut it off; False while somebody reads."""
        with self.foreseen(), self._alone(), self._engine.connect() as connection:
            row = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        return bool(row[0] == 0)

    def lease_now_us(self, connection: Connection) -> int:
        """The boot clock: every holder is a process of this host."""
        return clock.boot_us()

    def knock(self, role: str) -> bool:
        """One datagram in the home's `run` folder."""
        return wake.knock(self.home / "run", role)

    def listen(self, role: str) -> AbstractContextManager[socket.socket]:
        """The socket of that role in the home's `run` folder."""
        return wake.listen(self.home / "run", role)

    def lead(self) -> Leadership:
        """Always: the daemon's lock file keeps a second one from starting in this home."""
        return _Alone()

    def led(self, connection: Connection) -> bool:
        """Never: the lock file in the home says more."""
        return False

    @property
    def _remedy(self) -> str:
        return (
            "check free space, the folder's owner and the disk, then run"
            " `PRAGMA integrity_check` on a copy"
        )

    def _begin_reading(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    def _begin_writing(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._thread_lock:
            descriptor = self._lock_file()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _is_wrong_statement(self, error: Exception) -> bool:
        cause = getattr(error, "orig", None)
        return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR

    def _lock_file(self) -> int:
        try:
            return os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:  # A read-only file system, or no file to be had.
            raise errors.DatabaseUnavailable(
                f"{self._lock_path}: {error.strerror}; {self._remedy}"
            ) from error

    def version(self, connection: Connection) -> int:
        """SQLite's own counter in the file's header."""
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())

    def migrate_to(self, connection: Connection, number: int, statements: list[str]) -> None:
        """Carry out the statements as they are."""
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"PRAGMA user_version = {number}")


class _Alone(Leadership):
    def held(self) -> bool:
        return True

    def close(self) -> None:
        """The lock file ends with the process."""


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        hide_parameters=True,  # They may be what people wrote, and errors are logged.
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
            "secure_delete = ON",  # What was erased must not stay in the file.
        ):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    return engine
