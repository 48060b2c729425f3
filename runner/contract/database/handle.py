"""A handle on the database, whichever it is: what every room may do with it.

Open one per process and close it at the end. A connection never crosses a fork.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from runner.contract import errors

_OURS: Final = (IntegrityError, ProgrammingError, DataError)
"""A statement or a value that was wrong: nothing that gets better by waiting."""


class Leadership(ABC):
    """Being the one daemon that reconciles, for as long as `held` says so."""

    @abstractmethod
    def held(self) -> bool:
        """Whether nobody else leads; asks the database."""

    @abstractmethod
    def close(self) -> None:
        """Let another one lead."""


class Database(ABC):
    """Reads, writes and wake-ups. `name` says which database, without any password."""

    shared: ClassVar[bool]
    """Whether other hosts may write to it."""

    def __init__(self, home: Path, name: str, engine: Engine) -> None:
        self.home = home
        self.name = name
        self._engine = engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database; keep it short."""
        with self.foreseen(), self._engine.connect() as connection:
            self._begin_reading(connection)
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it is durable when the block ends, or nothing of it is."""
        with self.foreseen(), self._engine.connect() as connection, self.writing(connection):
            yield connection

    def emptied(self) -> bool:
        """Whether no copy of what was deleted is left in files that we write ourselves.

        What the server keeps, its log and dead rows, is its administrator's to clear.
        """
        return True

    def connect(self) -> Connection:
        """A connection to hold, for a hot path; use it with `reading` and `writing`.

        One that was lost connects again by itself when it is next used.
        """
        with self.foreseen():
            return self._engine.connect()

    @contextmanager
    def reading(self, connection: Connection) -> Iterator[None]:
        """Reads on a held connection; nothing stays locked afterwards."""
        with self.foreseen():
            try:
                yield
            finally:
                connection.rollback()

    @contextmanager
    def writing(self, connection: Connection) -> Iterator[None]:
        """A write transaction on a held connection."""
        with self.foreseen(), self._alone():
            self._begin_writing(connection)
            try:
                yield
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def foreseen(self) -> Iterator[None]:
        """A full disk, a damaged file or a lost server is the world's failure, in a line."""
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            ours = isinstance(error, _OURS) and not self._is_missing_right(error)
            if ours or self._is_wrong_statement(error):
                raise
            cause = str(error.orig if isinstance(error, DBAPIError) else error)
            raise errors.DatabaseUnavailable(
                f"{self.name}: {' '.join(cause.split())[:200]}; {self._remedy}"
            ) from error

    def close(self) -> None:
        """Let go of every connection."""
        with self._alone():
            self._engine.dispose()

    @abstractmethod
    def lease_now_us(self, connection: Connection) -> int:
        """The time that leases end by, in microseconds, on a clock that all holders share."""

    @abstractmethod
    def knock(self, role: str) -> bool:
        """Wake whoever listens in that role, after a commit; whether somebody here did."""

    @abstractmethod
    def listen(self, role: str) -> AbstractContextManager[socket.socket]:
        """A socket that becomes readable when somebody knocks; `wake.drain` empties it."""

    @abstractmethod
    def lead(self) -> Leadership | None:
        """Become the one daemon that reconciles; None while another one is."""

    @abstractmethod
    def led(self, connection: Connection) -> bool:
        """Whether a daemon of any host is known to lead; False where only this host has one."""

    @property
    @abstractmethod
    def _remedy(self) -> str:
        """What to do when the database cannot be used."""

    @abstractmethod
    def _begin_reading(self, connection: Connection) -> None:
        """Make what follows see one moment."""

    @abstractmethod
    def _begin_writing(self, connection: Connection) -> None:
        """Begin a transaction that may write."""

    @abstractmethod
    def _alone(self) -> AbstractContextManager[None]:
        """Keep other writers of this database out, where it needs that."""

    def _is_wrong_statement(self, error: Exception) -> bool:
        """Whether the driver says of a mistake of ours only that something went wrong."""
        return False

    def _is_missing_right(self, error: Exception) -> bool:
        """Whether the statement is fine, and nobody has granted the right to it."""
        return False

    # Migrations.

    @abstractmethod
    def version(self, connection: Connection) -> int:
        """The number of the last migration that was applied; 0 of an empty database."""

    @abstractmethod
    def migrate_to(self, connection: Connection, number: int, statements: list[str]) -> None:
        """Carry out one migration, in the caller's transaction."""
