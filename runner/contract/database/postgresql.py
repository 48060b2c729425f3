"""PostgreSQL: one database for the runners and daemons of many hosts.

Transactions are READ COMMITTED, and statements say what they lock (`dialect`). Wake-ups
travel as NOTIFY; in each process that listens, a thread passes them on as the datagram that
SQLite's homes use, so that a loop waits for one socket whatever the database is.

A connection that is lost is found out within seconds by both ends, by TCP keepalives, so
that a host that was cut off soon holds no lock any more.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from runner.contract import clock, errors, telemetry, wake
from runner.contract.database import dialect
from runner.contract.database.handle import Database, Leadership

CONNECT_S: Final = 5
LOST_MS: Final = 10_000
"""How long sent data may stay unconfirmed before the connection counts as lost."""
LISTEN_AGAIN_S: Final = 1.0
SCHEMES: Final = ("postgresql", "postgres")

_SESSION: Final = (
    "-c client_encoding=UTF8 -c timezone=UTC -c lock_timeout=20s"
    " -c idle_in_transaction_session_timeout=60s"
    " -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    # An answer that nobody confirms would else hold its locks until the limit above.
    f" -c tcp_user_timeout={LOST_MS}"
)
_DRIVER: Final[dict[str, Any]] = {
    "application_name": "orloj",
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": LOST_MS,
    "options": _SESSION,
}


class PostgresqlDatabase(Database):
    """A database of a PostgreSQL server, version 14 or newer."""

    shared: ClassVar[bool] = True

    def __init__(self, home: Path, url: str) -> None:
        engine = _engine(url)
        shown = engine.url.set(drivername=SCHEMES[0])
        self.place = f"{clock.boot_id()}:{home}"
        """This home on this host, for who knocks here and need not be told twice."""
        super().__init__(home, shown.render_as_string(hide_password=True), engine)

    def lease_now_us(self, connection: Connection) -> int:
        """The server's clock, which all hosts share."""
        return int(connection.exec_driver_sql(dialect.SERVER_US).scalar_one())

    def knock(self, role: str) -> bool:
        """NOTIFY the listeners of every host; whether one of this home listens."""
        here = wake.knock(self.home / "run", role)
        payload = self.place if here else ""
        with self.foreseen(), self._engine.connect() as connection:
            # Nothing that must last: a lost notification costs a look, a sync costs each.
            connection.exec_driver_sql(
                "SELECT set_config('synchronous_commit', 'off', true), pg_notify(?, ?)",
                (_channel(role), payload),
            )
            connection.commit()
        return here

    @contextmanager
    def listen(self, role: str) -> Iterator[socket.socket]:
        """The socket of that role in the home's `run` folder; other hosts reach it too."""
        with wake.listen(self.home / "run", role) as receiver:
            bridge = _Bridge(self, role)
            bridge.start()
            try:
                yield receiver
            finally:
                bridge.stop()

    def lead(self) -> Leadership | None:
        """Hold the leader's lock on a session of its own: the server frees it at its end."""
        with self.foreseen():
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            asked = session.exec_driver_sql(
                "SELECT pg_try_advisory_lock(?)", (dialect.LEADER,)
            ).scalar_one()
        if asked:
            return _Session(session)
        session.close()
        return None

    def led(self, connection: Connection) -> bool:
        """Whether a session of this database holds the leader's lock."""
        found = connection.exec_driver_sql(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = ? AND objid = ? AND objsubid = 1 AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database()))",
            (dialect.LEADER >> 32, dialect.LEADER & 0xFFFF_FFFF),
        )
        return bool(found.scalar_one())

    def session(self) -> psycopg.Connection[Any]:
        """A connection of the driver outside of the pool, in autocommit, to be closed."""
        arguments, keywords = self._engine.dialect.create_connect_args(self._engine.url)
        return psycopg.connect(*arguments, **{**keywords, **_DRIVER}, autocommit=True)

    @property
    def _remedy(self) -> str:
        return "check that the server runs, that it can be reached, and database.url"

    def _is_missing_right(self, error: Exception) -> bool:
        cause = getattr(error, "orig", None)
        return isinstance(cause, psycopg.errors.InsufficientPrivilege)

    def _begin_reading(self, connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def _begin_writing(self, connection: Connection) -> None:
        """The driver begins with the first statement."""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        yield

    def _is_wrong_statement(self, error: Exception) -> bool:
        # Class 54, a limit of the program: a value too large for an index, say.
        state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
        return bool(state.startswith("54"))

    def version(self, connection: Connection) -> int:
        """What the table `schema_version` says."""
        # Looked up as rows: a name is resolved from a cache that may not know it yet.
        found = connection.exec_driver_sql(
            "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema()"
            " AND tablename = 'schema_version')"
        )
        if not found.scalar_one():
            return 0
        statement = "SELECT max(version) FROM schema_version"
        return int(connection.exec_driver_sql(statement).scalar_one())

    def migrate_to(self, connection: Connection, number: int, statements: list[str]) -> None:
        """Carry out the statements in PostgreSQL's words."""
        for statement in statements:
            connection.exec_driver_sql(dialect.schema_for_postgresql(statement))
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY,"
            " applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
        )
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (?)", (number,))


class _Session(Leadership):
    """A lock that a server holds for a session; lost with the connection."""

    def __init__(self, session: Connection) -> None:
        self._session = session

    def held(self) -> bool:
        if self._session.invalidated:
            return False
        try:
            self._session.exec_driver_sql("SELECT 1")
        except DBAPIError:
            with contextlib.suppress(DBAPIError):
                self._session.invalidate()
            return False
        return True

    def close(self) -> None:
        # Ended, not given back to the pool: the lock ends with the session.
        self._session.invalidate()
        self._session.close()


class _Bridge(threading.Thread):
    """Passes notifications of the server on to the listener of this home, until stopped."""

    def __init__(self, database: PostgresqlDatabase, role: str) -> None:
        super().__init__(name=f"notifications of {role}", daemon=True)
        self._database = database
        self._role = role
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._database.session() as session:
                    session.execute(f"LISTEN {_channel(self._role)}")
                    self._pass_on(session)
            except psycopg.Error as error:
                if self._stopped.is_set():
                    return
                telemetry.log(
                    "notifications_lost",
                    "The database sends no notifications; looks are timed until it does again.",
                    reason=str(error).splitlines()[0] if str(error) else type(error).__name__,
                )
                self._stopped.wait(LISTEN_AGAIN_S)

    def _pass_on(self, session: psycopg.Connection[Any]) -> None:
        run = self._database.home / "run"
        wake.knock(run, self._role)  # For whatever came while nobody listened.
        while not self._stopped.is_set():
            for notice in session.notifies(timeout=LISTEN_AGAIN_S, stop_after=1):
                if notice.payload != self._database.place:  # Else it came by datagram.
                    wake.knock(run, self._role)

    def stop(self) -> None:
        self._stopped.set()


def _channel(role: str) -> str:
    return "orloj_" + role.partition(".")[0]


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise errors.SettingsInvalid(
            "database.url is not a URL; it looks like postgresql://user@host/database"
        ) from None
    if parsed.drivername not in SCHEMES:
        raise errors.SettingsInvalid(
            f"database.url begins with {parsed.drivername}://; Orloj speaks postgresql://"
            " (leave the setting out for SQLite in the home)"
        )
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args=_DRIVER,
        hide_parameters=True,  # They may be what people wrote, and errors are logged.
        pool_size=4,
        max_overflow=8,
        pool_timeout=CONNECT_S,
        pool_pre_ping=True,
        use_native_hstore=False,
    )

    @event.listens_for(engine, "before_cursor_execute", retval=True, named=True)
    def translate(
        *, statement: str, parameters: object, context: Any, **_more: object
    ) -> tuple[str, object]:
        # Statements that SQLAlchemy composed speak PostgreSQL already.
        if context is None or context.compiled is not None:
            return statement, parameters
        return dialect.for_postgresql(statement), parameters

    return engine
