"""Several daemons share a database: one reconciles, and another takes over when it is gone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home
from repository import Repository

from reconciler import recorded

pytestmark = pytest.mark.story

AGENT = """apiVersion: orloj.dev/v1
kind: Agent
metadata: {name: NAME}
spec: {model: gpt-4, prompt: Be brief.}
"""


class Host:
    """A daemon with a home of its own, on the database of all."""

    def __init__(self, folder: Path, url: str, source: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_HOME": str(folder),
            "ORLOJ_DATABASE_URL": url,
            "ORLOJ_SOURCE_URL": source,
        }

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "daemon"], env=self.environment, stderr=log
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
            process.wait(timeout=30)

    def actions(self) -> list[str]:
        log = self.folder / "daemon.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [json.loads(line)["action"] for line in lines]


@pytest.fixture
def shared(
    tmp_path: Path, postgresql_url: str
) -> Iterator[tuple[Home, Repository, list[Host]]]:
    home = Home(tmp_path / "home", postgresql_url)
    repository = Repository(tmp_path)
    hosts = [Host(tmp_path / name, postgresql_url, repository.url) for name in ("one", "two")]
    yield home, repository, hosts
    home.close()


def push(repository: Repository, name: str) -> str:
    repository.write(f"{name}.yaml", AGENT.replace("NAME", name))
    commit = repository.commit(f"Add {name}")
    repository.push()
    return commit


def applied(home: Home, commit: str) -> None:
    def state() -> Any:
        with home.database.read() as connection:
            found = recorded.source(connection)
            return found and found.applied_commit

    home.until(lambda: state() == commit, explain=state)


def test_one_daemon_applies_and_the_other_takes_over_when_it_is_killed(
    shared: tuple[Home, Repository, list[Host]],
) -> None:
    home, repository, (one, two) = shared
    first = push(repository, "first")
    with ExitStack() as stack:
        leading = stack.enter_context(one.daemon())
        applied(home, first)
        stack.enter_context(two.daemon())
        home.until(lambda: "leader_waiting" in two.actions())
        applied(home, push(repository, "second"))
        assert "pass_applied" not in two.actions()
        status = json.loads(home.orloj("status", "--json").stdout)
        assert (status["daemon_running"], status["runner_running"]) == (True, False)
        leading.kill()
        applied(home, push(repository, "third"))
        assert two.actions().count("leader_elected") == 1
        home.until(lambda: "pass_applied" in two.actions())
    serials = home.rows("SELECT serial FROM revision ORDER BY id")
    assert len(serials) == len(set(serials)) == 3


def test_a_leader_that_lost_its_session_stands_by_and_applies_nothing_twice(
    shared: tuple[Home, Repository, list[Host]],
) -> None:
    home, repository, (one, two) = shared
    with ExitStack() as stack:
        stack.enter_context(one.daemon())
        applied(home, push(repository, "first"))
        stack.enter_context(two.daemon())
        home.until(lambda: "leader_waiting" in two.actions())
        with home.database.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database"
                " WHERE datname = current_database())"
            )
        home.until(lambda: "leader_elected" in two.actions())
        applied(home, push(repository, "second"))
        home.until(lambda: "leader_lost" in one.actions())
    commits = home.rows("SELECT commit_sha FROM revision ORDER BY id")
    assert len(commits) == len(set(commits)) == 2
