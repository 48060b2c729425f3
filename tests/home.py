"""A home with recorded resources, and a real runner on it, for tests and benchmarks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.contract import audit, clock, database, kinds, service, submission, wake
from runner.contract.database import Database
from runner.contract.kinds import Key, Metadata
from runner.contract.submission import Submission

COMMIT = "a" * 40


def opened(folder: Path, url: str = "") -> Database:
    """The database of a home, at the newest schema."""
    if url:
        server = database.connect(folder, url)
        database.migrate(server)
        server.close()
    return database.open_database(folder, url)


class Home:
    """A state folder of its own; `record` writes manifests as if a commit had been applied.

    One that is not `applied` knows no repository yet, and is for those who bring a real one.
    """

    def __init__(self, folder: Path, url: str = "", *, applied: bool = True) -> None:
        self.folder = folder
        self.url = url
        self.environment: dict[str, str] = {}  # For the runner, besides its settings.
        self.database: Database = opened(folder, url)
        if applied:
            self._apply_nothing()

    def _apply_nothing(self) -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO source VALUES ('default', '', '', '', '', ?, NULL, ?, 'Ready', '',"
                " '', '[]', 0, 0) ON CONFLICT DO NOTHING",
                (COMMIT, COMMIT),
            )

    def record(
        self,
        kind: str,
        name: str,
        spec: dict[str, Any],
        line: int = 1,
        *,
        namespace: str = "default",
    ) -> Key:
        """Record one resource."""
        key = Key(namespace, kind, name)
        body = kinds.canonical(Metadata(name=name), kinds.KINDS[kind].model_validate(spec))
        with self.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO resource VALUES (?, ?, ?, 'git:default', ?, ?, ?, NULL,"
                " ?, ?, '{}', 1, 0) ON CONFLICT (namespace, kind, name) DO UPDATE SET"
                " body = excluded.body, spec_hash = excluded.spec_hash, line = excluded.line",
                (*key, COMMIT, f"{kind.lower()}s/{name}.yaml", line, kinds.digest(body), body),
            )
            connection.exec_driver_sql("UPDATE state SET serial = serial + 1")
        return key

    def submit(self, subject: Key, count: int = 1, **more: Any) -> list[str]:
        """Queue tasks and wake the runner."""
        with self.database.write() as connection:
            ids = submission.submit(
                connection,
                [Submission(subject=subject, actor="person:test", **more)] * count,
                COMMIT,
                clock.now_us(),
            )
        self.database.knock(wake.RUNNER)
        return ids

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What a query finds."""
        with self.database.read() as connection:
            return list(connection.exec_driver_sql(query, values).all())

    def state(self, task: str) -> str:
        """The state of a task."""
        return str(self.rows("SELECT state FROM task WHERE id = ?", task)[0][0])

    def wait(self, tasks: list[str], states: set[str], timeout_s: float = 30.0) -> None:
        """Wait until every task is in one of the states; fail with what is known if not."""
        marks = ",".join("?" * len(tasks))
        self.until(
            lambda: all(
                row[0] in states
                for row in self.rows(f"SELECT state FROM task WHERE id IN ({marks})", *tasks)
            ),
            timeout_s,
            lambda: self.rows(
                f"SELECT id, state, error FROM task WHERE id IN ({marks})", *tasks
            ),
        )

    def until(self, true: Any, timeout_s: float = 30.0, explain: Any = lambda: "") -> None:
        """Look again and again until something is true."""
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, f"not true after {timeout_s} s: {explain()}"
            time.sleep(0.005)

    def entries(self, task: str | None = None) -> list[dict[str, Any]]:
        """The audit entries, all or one task's."""
        with self.database.read() as connection:
            return [stored.fields for stored in audit.read(connection, task=task)]

    def orloj(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a command of `orloj` did in this home."""
        return subprocess.run(
            [sys.executable, "-m", "reconciler", "--home", str(self.folder), *arguments],
            env={**os.environ, "ORLOJ_DATABASE_URL": self.url},
            capture_output=True,
            text=True,
        )

    @contextmanager
    def runner(self, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A runner process on this home; it is stopped at the end."""
        environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_DATABASE_URL": self.url,
            **self.environment,
            **{f"ORLOJ_RUNNER_{name.upper()}": str(value) for name, value in settings.items()},
        }
        log = (self.folder / "runner.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", str(self.folder)], env=environment, stderr=log
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
            log.close()

    def up(self) -> None:
        """Wait until a runner has taken its role, for commands that want one."""
        self.until(lambda: service.is_running(self.folder / "run", "runner"))

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()
