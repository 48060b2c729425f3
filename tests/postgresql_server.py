"""A real PostgreSQL server for tests and benchmarks, started only when one asks for it.

The cluster lives in a temporary folder and is as durable as a server in production: fsync
and synchronous_commit stay on. Over TCP it wants a password, on its unix socket it trusts.
Databases compare text by language, as most servers do, so that a query that leans on the
order of bytes fails here and not at somebody's house.

    missing() -> why there is none, or nothing
    Server():  initdb -> start <-> stop | kill | pause, resume -> folder removed
"""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import psycopg
from psycopg import sql

Mode = Literal["smart", "fast", "immediate"]
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
ADMINISTRATOR = "postgres"
ROLE = "orloj"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 60.0


@cache
def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, or nothing where they are not installed."""

    def version(folder: Path) -> int:
        return int(folder.parent.name) if folder.parent.name.isdigit() else 0

    # Debian keeps them off PATH, a folder for each version.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    on_path = shutil.which("initdb")
    candidates = folders + ([Path(on_path).resolve().parent] if on_path else [])
    for folder in candidates:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    return None


def missing() -> str:
    """Why no server can be started here; empty if one can."""
    if programs() is None:
        return "no PostgreSQL server here: sudo apt-get install postgresql"
    if os.geteuid() == 0 and account() is None:
        return "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
    return ""


def account() -> tuple[int, int] | None:
    """The user and group that the server runs as when we are root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return None


class Server:
    """A cluster of its own. Start and stop it from a thread that outlives it."""

    def __init__(
        self,
        listen: Sequence[str] = ("127.0.0.1",),
        collation: Literal["language", "C"] = "language",
        **settings: str | int,
    ) -> None:
        assert not missing(), missing()
        found = programs()
        assert found is not None
        self.programs = found
        # Not pytest's folder: the server's user could not reach into it.
        self.folder = Path(tempfile.mkdtemp(prefix="orloj-pg-"))
        self.data = self.folder / "data"
        self.sockets = self.folder
        self.log = self.folder / "server.log"
        self.listen = list(listen)
        self.password = secrets.token_urlsafe(16)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._settings = settings
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            user, group = account() or (0, 0)
            os.chown(self.folder, user, group)
            self._identity = {"user": user, "group": group, "extra_groups": []}
        self._initialise(collation)

    def __enter__(self) -> Self:
        try:
            self.start()
            self.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(ROLE), sql.Literal(self.password)
                )
            )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Databases.

    def url(self, database: str, host: str = "") -> str:
        """The address of a database, as a home's setting `database.url` takes it."""
        address = host or self.listen[0]
        return f"postgresql://{ROLE}:{self.password}@{address}:{self.port}/{database}"

    def create(self, name: str, template: str = "template1") -> str:
        """Make a database that belongs to the tests' role; its address."""
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        self.execute(statement.format(*map(sql.Identifier, (name, ROLE, template))))
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever still holds it open."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self.execute(statement.format(sql.Identifier(name)))

    def execute(
        self, statement: str | sql.Composed, *values: Any, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """What a statement returns when the administrator runs it."""
        with psycopg.connect(
            host=str(self.sockets),
            port=self.port,
            user=ADMINISTRATOR,
            dbname=database,
            autocommit=True,
        ) as connection:
            text = statement.encode() if isinstance(statement, str) else statement
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    def terminate(self, database: str) -> int:
        """End every session of a database, as an administrator does; how many there were."""
        rows = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            database,
        )
        return len(rows)

    # The life of the server.

    def start(self) -> None:
        """Start and wait until it takes connections."""
        deadline = time.monotonic() + START_LIMIT_S
        self._spawn()
        while not self._ready():
            assert self.process is not None
            assert time.monotonic() < deadline, f"not ready: {self.last_words()}"
            if self.process.poll() is not None:
                # After a kill the sessions of the old life need a moment to go.
                assert "pre-existing shared memory" in self.last_words(), self.last_words()
                self._spawn()
            time.sleep(0.01)

    def stop(self, mode: Mode = "fast") -> None:
        """Shut down: `fast` ends the sessions, `immediate` leaves recovery to the start."""
        if self.process is None:
            return
        self.resume()
        self.process.send_signal(SIGNALS[mode])
        self.process.wait(STOP_LIMIT_S)
        self.process = None

    def restart(self, mode: Mode = "fast") -> None:
        """Stop and start on the same port."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL; its sessions find out and go."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_LIMIT_S)
        self.process = None

    def pause(self) -> None:
        """Freeze the server with all its sessions: connections stay open, none answers."""
        assert self.process is not None
        # The postmaster first, so that it starts no session behind our back.
        os.kill(self.process.pid, signal.SIGSTOP)
        for child in _children(self.process.pid):
            _signal(child, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        if self.process is None or self.process.poll() is not None:
            return
        for child in _children(self.process.pid):
            _signal(child, signal.SIGCONT)
        os.kill(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop and remove everything."""
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self) -> str:
        """The end of the server's log."""
        if not self.log.exists():
            return "it wrote no log"
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    # How it is done.

    def _initialise(self, collation: str) -> None:
        initdb = str(self.programs / "initdb")
        known = subprocess.run(
            [initdb, "--help"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        by_language = collation == "language" and "--icu-locale" in known
        done = subprocess.run(
            [initdb, "-D", str(self.data), "-U", ADMINISTRATOR, "-E", "UTF8", "--no-sync"]
            + ["--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
            + (["--locale-provider=icu", "--icu-locale=en-US"] if by_language else []),
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
            env=_environment(),
            **self._identity,
        )
        if done.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise AssertionError(f"initdb failed: {done.stdout}{done.stderr}")
        with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            # What it listens on decides who gets here; from there the password counts.
            rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
            rules.write("host all all ::/0 scram-sha-256\n")

    def _spawn(self) -> None:
        settings: dict[str, str | int] = {
            "listen_addresses": ",".join(self.listen),
            "port": self.port,
            "unix_socket_directories": str(self.sockets),
            "timezone": "UTC",
            **self._settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        # A test run that is killed takes its server with it.
        tie = ["setpriv", "--pdeathsig", "QUIT", "--"] if shutil.which("setpriv") else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*tie, str(self.programs / "postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_environment(),
                **self._identity,
            )

    def _ready(self) -> bool:
        """Whether the server of this life says that it takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        assert self.process is not None
        return (
            len(lines) >= 8
            and lines[0] == str(self.process.pid)
            and lines[7].strip() == "ready"
        )


def _environment() -> dict[str, str]:
    """Nothing of the caller's: a PGPORT there must not lead elsewhere."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # It ended while we looked.
        if re.search(rf"^PPid:\t{parent}$", status, re.MULTILINE):
            found.append(int(folder.name))
    return found


def _signal(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
