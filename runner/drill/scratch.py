"""A home of the drill's own, in a temporary folder, and a real runner process on it.

What the runner says of itself is read as it comes, so that a fault that it has met is known
by what it said, and not by how long somebody waited.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from runner.contract import audit, clock, database, kinds, settings, submission, wake
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.submission import Submission
from runner.manifest_set import Placed

LEASE_S: Final = 5.0
PATIENCE_S: Final = 60.0
RUNNER: Final = (sys.executable, "-m", "runner")
_SETTINGS: Final = f"[runner]\nworkers = 1\nlease_s = {LEASE_S}\n"
_LOOK_S: Final = 0.02


class Runner:
    """A runner process, and the lines it has logged so far."""

    def __init__(self, command: Sequence[str], home: Path) -> None:
        self._lines: list[dict[str, Any]] = []
        self._process = subprocess.Popen(  # noqa: S603 - our own program.
            [*command, str(home)],
            env=settings.process_environment("PYTHONPATH"),
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process of the dispatcher."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def said(self, action: str) -> list[dict[str, Any]]:
        """The lines about an action."""
        return [line for line in list(self._lines) if line.get("action") == action]

    def kill(self) -> None:
        """End it at once, and its worker with it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=PATIENCE_S)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            try:
                line = json.loads(raw)
            except ValueError:
                continue  # A traceback: that it ended is seen as well.
            if isinstance(line, dict):
                self._lines.append(line)


class Scratch:
    """A state folder with the resources of a rehearsal in it."""

    def __init__(self, folder: Path, resources: Sequence[Placed]) -> None:
        self.folder = folder
        (folder / settings.FILE_NAME).write_text(_SETTINGS, encoding="utf-8")
        self.database: Database = database.open_database(folder)
        for placed in resources:
            self.record(placed)

    def record(self, placed: Placed) -> None:
        """Record a resource as it is, readable or not."""
        with self.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO resource (namespace, kind, name, owner, commit_sha, path, line,"
                " blob, spec_hash, body, lines, generation, applied_at)"
                " VALUES (?, ?, ?, 'person:drill', NULL, ?, ?, NULL, ?, ?, ?, 1, 0)",
                (*placed.key, placed.path, placed.line, kinds.digest(placed.body))
                + (placed.body, json.dumps(placed.lines)),
            )
            connection.exec_driver_sql("UPDATE state SET serial = serial + 1")

    def change(self, statement: str) -> None:
        """Change something behind the runner's back."""
        with self.database.write() as connection:
            connection.exec_driver_sql(statement)

    def submit(self, subject: Key) -> None:
        """Queue the one task of this home, and wake the runner."""
        with self.database.write() as connection:
            task = Submission(subject=subject, actor="person:drill")
            submission.submit(connection, [task], NO_COMMIT, clock.now_us())
        self.database.knock(wake.RUNNER)

    def task(self) -> tuple[str, str]:
        """The state of the task, and why it is in it."""
        with self.database.read() as connection:
            row = connection.exec_driver_sql("SELECT state, error FROM task").one()
        return str(row[0]), str(row[1] or "")

    def decision(self) -> str | None:
        """What the log says was decided on the tool call; None: nothing stands there."""
        with self.database.read() as connection:
            found = [
                entry.fields.get("decision")
                for entry in audit.read(connection, type_prefix="action.decided")
                if "tool" in entry.fields
            ]
        return str(found[-1]) if found else None

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()


@contextmanager
def running(command: Sequence[str], home: Path) -> Iterator[Runner]:
    """A runner on a home; it is killed at the end, whatever came of it."""
    runner = Runner(command, home)
    try:
        yield runner
    finally:
        runner.kill()


def seen(what: Callable[[], bool]) -> bool:
    """Whether something comes to be true before the patience is over."""
    until_us = clock.boot_us() + int(PATIENCE_S * 1_000_000)
    while not what():
        if clock.boot_us() > until_us:
            return False
        time.sleep(_LOOK_S)
    return True


def gone(pid: int) -> bool:
    """Whether a process has ended, also one whose parent has not noticed yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}


def stop(pid: int) -> None:
    """Stop a process where it is, without ending it."""
    os.kill(pid, signal.SIGSTOP)
