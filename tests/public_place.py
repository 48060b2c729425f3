"""A home that nobody used before and a repository in it, worked by real processes."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLAIN = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


class Place:
    """A folder with a home; `up` runs daemon, dispatcher and workers."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = PLAIN | {
            "ORLOJ_HOME": str(folder / "home"),
            "ORLOJ_SOURCE_INTERVAL_S": "1",
            "ORLOJ_RUNNER_WORKERS": "1",
            **environment,
        }

    def orloj(self, *arguments: str) -> str:
        done = self._run(sys.executable, "-m", "reconciler", *arguments)
        assert done.returncode in (0, 2), done.stdout + done.stderr
        return done.stdout

    def commit(self, *files: tuple[str, str]) -> None:
        """A repository with these files, which the home reconciles."""
        repository = self.folder / "repository"
        for name, text in files:
            path = repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.environment["ORLOJ_SOURCE_URL"] = str(repository)
        git = ("git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b")
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "A")):
            done = self._run(*git, *words)
            assert done.returncode == 0, done.stderr

    @contextmanager
    def up(self) -> Iterator[None]:
        with (self.folder / "up.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "up"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)

    def finished(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """The one task, once it is over."""
        task = self._waited("SELECT id FROM task WHERE finished_at IS NOT NULL", timeout_s)
        return dict(json.loads(self.orloj("task", task, "--json")))

    def _waited(self, query: str, timeout_s: float) -> str:
        # A command in a loop would take the processors from those that are waited for.
        over = time.monotonic() + timeout_s
        while time.monotonic() < over:
            with (
                contextlib.suppress(sqlite3.OperationalError),
                contextlib.closing(sqlite3.connect(self.folder / "home/orloj.db")) as database,
            ):
                if found := database.execute(query).fetchone():
                    return str(found[0])
            time.sleep(0.05)
        raise AssertionError((self.folder / "up.log").read_text())

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
