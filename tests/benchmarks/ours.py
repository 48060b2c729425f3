"""A home of our own to measure: its tasks, and the runner with workers that do nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from home import COMMIT, Home  # noqa: E402

from runner.contract import clock, submission, wake  # noqa: E402
from runner.contract.submission import Submission  # noqa: E402

STOP_LIMIT_S = 30.0
FINISHED = "SELECT finished_at FROM task WHERE state = 'succeeded' ORDER BY finished_at"
UNFINISHED = "SELECT 1 FROM task WHERE state IN ('pending', 'leased') LIMIT 1"


class Ours:
    """A home with one agent on the scripted model; `url` is empty for SQLite."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.home = Home(folder / "home", url)
        self.url = url
        self.home.record(
            "ModelEndpoint",
            "default",
            {"provider": "mock", "default_model": "m", "script": {"noop": [{"reply": "done"}]}},
        )
        self.agent = self.home.record("Agent", "noop", {"model": "m"})
        self._held = self.home.database.connect()

    def submit(self, count: int, batch: int = 500, **more: Any) -> None:
        """Queue tasks, so many in one durable transaction, and wake the runner after each."""
        for first in range(0, count, batch):
            size = min(batch, count - first)
            items = [Submission(subject=self.agent, actor="person:bench", **more)] * size
            # On a held connection, as whoever queues often would.
            with self.home.database.writing(self._held):
                submission.submit(self._held, items, COMMIT, clock.now_us())
            self.home.database.knock(wake.RUNNER)

    def send(self, sent_ns: int) -> None:
        """Queue one task that carries when it was sent."""
        self.submit(1, input={"sent": str(sent_ns)})

    def finished(self) -> int:
        """How many tasks have succeeded, durably."""
        return int(self.home.rows("SELECT count(*) FROM task WHERE state = 'succeeded'")[0][0])

    def settle(self, timeout_s: float = 300.0) -> None:
        """Return when no task waits or runs any more."""
        deadline = time.monotonic() + timeout_s
        while self.home.rows(UNFINISHED):
            assert time.monotonic() < deadline, f"{self.finished()} finished in {timeout_s} s"
            time.sleep(0.005)

    def drained(self) -> tuple[float, float]:
        """Tasks a second, and tasks a commit, of the last four fifths that were finished.

        The first fifth is left out, since workers start one after another. All changes of
        one transaction of the dispatcher carry one time, so there are as many commits as times.
        """
        ends = [row[0] for row in self.home.rows(FINISHED)]
        rest = ends[len(ends) // 5 :]
        return (len(rest) - 1) * 1e6 / (rest[-1] - rest[0]), len(rest) / len(set(rest))

    def command(self, tally: Path | None = None) -> list[str]:
        """What starts the runner with workers that do nothing."""
        marks = [] if tally is None else [str(tally)]
        return [sys.executable, str(HERE / "noop_runner.py"), str(self.home.folder), *marks]

    @contextmanager
    def runner(self, workers: int, slots: int = 16, *, noop: bool = True) -> Iterator[int]:
        """The process id of a runner with so many workers; it is up when this returns."""
        command = (
            self.command() if noop else [sys.executable, "-m", "runner", str(self.home.folder)]
        )
        environment = {
            **os.environ,
            "ORLOJ_RUNNER_WORKERS": str(workers),
            "ORLOJ_RUNNER_SLOTS": str(slots),
            "ORLOJ_DATABASE_URL": self.url,
        }
        log_path = self.home.folder / "runner.log"
        with log_path.open("ab") as log:
            process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_LIMIT_S)

    def close(self) -> None:
        """Let go of the database."""
        self._held.close()
        self.home.close()
