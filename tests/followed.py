"""A repository, a home that follows it, and a real daemon between them; settings in a file.

world = Followed(tmp_path)
world.settings('[web]\\nlisten = "127.0.0.1:0"\\n')
with world.daemon():
    world.applied(world.push({"a.yaml": agent("a")}))
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from home import opened
from repository import Repository

from reconciler import recorded
from reconciler.recorded import SourceState
from runner.contract.database import Database


def agent(name: str, prompt: str = "Be brief.") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: {prompt}\n"
    )


class Followed:
    """A bare origin, its clone, and the home; nothing is polled while a test lasts."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.repository = Repository(folder)
        self.home = folder / "home"
        self.database: Database = opened(self.home, url)
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_HOME": str(self.home),
            "ORLOJ_DATABASE_URL": url,
        }
        self.settings("")

    def settings(self, more: str) -> None:
        text = f'[source]\nurl = "{self.repository.url}"\ninterval_s = 3600\n'
        (self.home / "orloj.toml").write_text(text + more)

    def secret(self, name: str, text: str) -> None:
        (self.home / name).write_text(text + "\n")

    def push(self, files: dict[str, str], subject: str = "Change") -> str:
        for path, text in files.items():
            self.repository.write(path, text)
        commit = self.repository.commit(subject)
        self.repository.push()
        return commit

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextmanager
    def daemon(self, home: Path | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        log = (home or self.home) / "daemon.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "daemon"],
                env=self.environment | ({"ORLOJ_HOME": str(home)} if home else {}),
                stderr=file,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=30)

    def log(self, home: Path | None = None) -> list[dict[str, Any]]:
        text = ((home or self.home) / "daemon.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def logged(self, action: str, home: Path | None = None) -> list[dict[str, Any]]:
        return [line for line in self.log(home) if line["action"] == action]

    def state(self) -> SourceState | None:
        with self.database.read() as connection:
            return recorded.source(connection)

    def applied(self, commit: str) -> None:
        self.until(
            lambda: (state := self.state()) is not None and state.applied_commit == commit
        )

    def rows(self, query: str, *values: Any) -> list[Any]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query, values)]

    def until(self, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, (self.state(), self.log())
            time.sleep(0.01)

    def close(self) -> None:
        self.database.close()
