"""A revision on trial under a real daemon and runner, killed at random: whole, or undone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import opened
from repository import Repository
from status_world import agent, evaluation, task

from reconciler import recorded
from runner.contract import audit_check
from runner.contract.database import Database

pytestmark = pytest.mark.story

MODEL = (
    "apiVersion: orloj.dev/v1\nkind: ModelEndpoint\nmetadata:\n  name: default\nspec:\n"
    "  provider: mock\n  default_model: scripted\n  script:\n    a:\n      - reply: fine\n"
)
DENIED = MODEL.replace("    a:\n", "    a:\n      - calls: [{tool: nobody-declared-it}]\n")


class Story:
    """A repository, a home, and the processes that run on them."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.repository = Repository(folder)
        self.home = folder / "home"
        self.database: Database = opened(self.home, url)
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_HOME": str(self.home),
            "ORLOJ_DATABASE_URL": url,
            "ORLOJ_SOURCE_URL": self.repository.url,
            "ORLOJ_SOURCE_INTERVAL_S": "3600",
            "ORLOJ_RUNNER_WORKERS": "1",
        }

    def push(self, files: dict[str, str | None]) -> str:
        for path, text in files.items():
            if text is None:
                self.repository.remove(path)
            else:
                self.repository.write(path, text)
        commit = self.repository.commit("Change")
        self.repository.push()
        return commit

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextmanager
    def process(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{command}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", command],
                env=self.environment,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=40)

    def state(self) -> Any:
        with self.database.read() as connection:
            return recorded.source(connection)

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return sorted(item.key.name for item in recorded.resources(connection))

    def until(self, true: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, f"not true in time; {self.state()}"
            time.sleep(0.01)

    def reason(self, commit: str, reason: str) -> None:
        self.until(
            lambda: (
                (state := self.state()) is not None
                and (state.attempted_commit, state.reason) == (commit, reason)
            )
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    made = Story(tmp_path, "")
    yield made
    made.database.close()


@pytest.fixture
def on_both(tmp_path: Path, database_url: str) -> Iterator[Story]:
    made = Story(tmp_path, database_url)
    yield made
    made.database.close()


def test_a_revision_passes_one_fails_and_the_next_is_right(on_both: Story) -> None:
    story = on_both
    with story.process("daemon"), story.process("worker"):
        good = story.push({"a.yaml": agent("a"), "m.yaml": MODEL, "exam.yaml": evaluation()})
        story.reason(good, "Applied")
        bad = story.push({"m.yaml": DENIED, "b.yaml": agent("b"), "job.yaml": task("job")})
        story.reason(bad, "CanaryFailed")
        assert story.state().applied_commit == good
        assert story.names() == ["a", "default", "exam"]
        asked = story.run("reconcile", "--wait")
        assert asked.returncode == 1
        assert "task/default/exam" in asked.stdout
        right = story.push({"m.yaml": MODEL})
        done = story.run("reconcile", "--wait")
        assert (done.returncode, story.state().applied_commit) == (0, right), done.stdout
        story.until(lambda: bool(story.rows("SELECT 1 FROM task WHERE task_name = 'job'")))
    with story.database.read() as connection:
        assert audit_check.verify(connection).holds


def test_a_daemon_that_is_killed_during_a_trial_goes_on_or_has_gone_back(
    story: Story,
) -> None:
    with story.process("worker"):
        with story.process("daemon"):
            good = story.push(
                {"a.yaml": agent("a"), "m.yaml": MODEL, "exam.yaml": evaluation()}
            )
            story.reason(good, "Applied")
        bad = story.push({"m.yaml": DENIED, "b.yaml": agent("b")})
        for delay_s in (0.0, 0.2):
            with story.process("daemon") as daemon:
                story.until(
                    lambda: bool(story.rows("SELECT 1 FROM canary WHERE state <> 'passed'"))
                )
                time.sleep(delay_s)  # Where in the trial it strikes is the point.
                daemon.send_signal(signal.SIGKILL)
                daemon.wait()
            applied = story.state().applied_commit
            assert ("b" in story.names()) == (applied == bad), "a revision was left half"
        with story.process("daemon"):
            story.reason(bad, "CanaryFailed")
    assert (story.state().applied_commit, story.names()) == (good, ["a", "default", "exam"])
    assert len(story.rows("SELECT 1 FROM history WHERE result = 'reverted'")) == 1


def test_without_a_runner_a_newer_commit_ends_the_wait(story: Story) -> None:
    with story.process("daemon"):
        first = story.push({"a.yaml": agent("a"), "m.yaml": MODEL, "exam.yaml": evaluation()})
        story.reason(first, "Canary")
        story.until(lambda: "no runner is running" in story.state().message)
        waiting = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "reconcile", "--wait"],
            env=story.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        story.until(
            lambda: bool(
                story.rows(
                    "SELECT 1 FROM source_control WHERE handled_token = request_token"
                    " AND request_token IS NOT NULL"
                )
            )
        )
        time.sleep(0.5)  # It has begun to wait for the canary; nothing says so.
        second = story.push({"a.yaml": agent("a", "Other.")})
        out, err = waiting.communicate(timeout=60)
        assert waiting.returncode == 1, out
        assert f"a newer commit {second[:12]}" in err
        story.until(
            lambda: (
                story.rows("SELECT state FROM task ORDER BY id")
                == [("cancelled",), ("pending",)]
            )
        )
