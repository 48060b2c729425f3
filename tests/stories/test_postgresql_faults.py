"""Whatever happens to PostgreSQL, runner and daemon go on by themselves and lose nothing.

The server is really stopped, killed and paused, and sessions really end at their COMMIT.
What was acted upon is compared with what the database and its log say afterwards.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import postgresql_server
import pytest
from home import COMMIT, Home
from hosts import RunnerHost, World, wait
from postgresql_server import Mode, Server
from repository import Repository

from runner.contract import audit_check

pytestmark = [pytest.mark.story, pytest.mark.timeout(240)]

LEASE_S = 8.0
PATIENT_S = 60.0  # A lease that no outage here outlasts, however busy the machine is.
OVER = {"succeeded", "unknown_outcome"}
AGENT = (
    "apiVersion: orloj.dev/v1\nkind: Agent\nmetadata:\n  name: {name}\n"
    "spec:\n  model: gpt-4\n  prompt: Be brief.\n"
)


class Stage:
    """A server, a host with runner and daemon on it, and a repository to push to."""

    def __init__(self, folder: Path, server: Server, lease_s: float) -> None:
        self.server = server
        self.url = server.create("state")
        self.home = Home(folder / "desk", self.url)
        self.world = World(folder / "world")
        self.host = RunnerHost(
            folder / "host", self.url, self.world, workers=2, slots=4, lease_s=lease_s
        )
        self.repository = Repository(folder)
        with (self.host.folder / "orloj.toml").open("a") as settings:
            settings.write(f'[source]\nurl = "{self.repository.url}"\ninterval_s = 1\n')
        self.push("first")

    def push(self, name: str) -> str:
        self.repository.write(f"{name}.yaml", AGENT.format(name=name))
        commit = self.repository.commit(f"Add {name}")
        self.repository.push()
        return commit

    def applied(self, commit: str) -> bool:
        query = "SELECT 1 FROM revision WHERE commit_sha = ?"
        return bool(self.home.rows(query, commit))

    def daemon(self) -> "subprocess.Popen[bytes]":
        with (self.host.folder / "daemon.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "reconciler", "daemon"],
                env={"PATH": os.environ["PATH"], "ORLOJ_HOME": str(self.host.folder)},
                stderr=log,
            )

    def by_hand(self) -> None:
        """Let what the test recorded be a person's: no commit that is applied deletes it."""
        with self.home.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE resource SET owner = 'person:test' WHERE commit_sha = ?", (COMMIT,)
            )

    def in_flight(self) -> set[str]:
        """The calls that began and did not end."""
        ended = {act.key for act in self.world.acts(phase="end")}
        return {act.key for act in self.world.acts()} - ended

    def check(self, tasks: list[str], *, at_most_once: set[str]) -> None:
        """Nothing is lost, nothing is done twice, and the log tells the truth."""
        states = dict(self.home.rows("SELECT id, state FROM task"))
        assert set(states) == set(tasks)
        finished = [
            one["task"] for one in self.home.entries() if one["type"] == "task.finished"
        ]
        succeeded = [task for task, state in states.items() if state == "succeeded"]
        assert sorted(finished) == sorted(succeeded)
        assert set(succeeded) <= {act.task for act in self.world.acts()}
        twice = {key.partition(":")[0] for key, n in self.world.times().items() if n > 1}
        assert not twice & at_most_once
        with self.home.database.read() as connection:
            assert audit_check.verify(connection).holds


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    if reason := postgresql_server.missing():
        pytest.skip(reason)
    with Server() as server:
        stage = Stage(tmp_path, server, request.param)
        daemon = stage.daemon()
        try:
            with closing(stage.home), stage.host.running():
                stage.home.until(lambda: stage.home.rows("SELECT 1 FROM revision"))
                yield stage
                assert daemon.poll() is None, (stage.host.folder / "daemon.log").read_text()
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


@pytest.mark.parametrize("stage", [PATIENT_S], indirect=True, ids=["patient"])
@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_a_server_that_restarts_costs_nobody_anything(stage: Stage, mode: str) -> None:
    home, world = stage.home, stage.world
    again = world.agent(home, "again", 0.3, idempotent=True)
    once = world.agent(home, "once", 0.3, idempotent=False)
    stage.by_hand()
    repeatable = home.submit(again, 30)
    single = home.submit(once, 30)
    for count in (5, 25):
        stage.home.until(lambda count=count: len(world.acts()) >= count)
        if mode == "kill":
            stage.server.kill()
        else:
            modes: dict[str, Mode] = {"fast": "fast", "immediate": "immediate"}
            stage.server.stop(modes[mode])
        commit = stage.push(f"agent-{count}")
        stage.server.start()
        home.until(lambda commit=commit: stage.applied(commit))
    wait(home, repeatable + single, {"succeeded"}, timeout_s=60)
    assert set(world.times().values()) == {1}, "the outage was shorter than a lease"
    stage.check(repeatable + single, at_most_once=set(single))


@pytest.mark.parametrize("stage", [PATIENT_S], indirect=True, ids=["patient"])
def test_a_session_that_ends_at_its_commit_leaves_no_doubt(stage: Stage) -> None:
    """The transaction is durable, its session is ended before anybody could be told."""
    home, world, server = stage.home, stage.world, stage.server
    again = world.agent(home, "again", 0.1, idempotent=True)
    once = world.agent(home, "once", 0.1, idempotent=False)
    repeatable = home.submit(again, 20)
    single = home.submit(once, 20)
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    ended = 0
    for count in (3, 9, 15, 21, 27):
        home.until(lambda count=count: len(world.acts()) >= count)
        # A commit is written here, and then waits for a standby that will never answer.
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        server.execute("SELECT pg_reload_conf()")
        home.until(lambda: server.execute(waiting))
        ended += len(server.execute(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS w"))
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
    assert ended >= 5
    wait(home, repeatable + single, OVER, timeout_s=60)
    assert {home.state(task) for task in repeatable} == {"succeeded"}
    stage.check(repeatable + single, at_most_once=set(single))


@pytest.mark.parametrize("stage", [LEASE_S], indirect=True, ids=["short lease"])
def test_a_server_that_pauses_for_longer_than_a_lease_finds_nobody_acting(
    stage: Stage,
) -> None:
    home, world = stage.home, stage.world
    again = world.agent(home, "again", 1.0, idempotent=True)
    once = world.agent(home, "once", 1.0, idempotent=False)
    repeatable = home.submit(again, 20)
    single = home.submit(once, 20)
    home.until(lambda: len(stage.in_flight()) >= 4)
    stage.server.pause()
    paused_at = time.time()
    home.until(lambda: time.time() > paused_at + LEASE_S + 4)
    assert not [act for act in world.acts() if act.at_s > paused_at + LEASE_S]
    stage.server.resume()
    wait(home, repeatable + single, OVER, timeout_s=90)
    assert {home.state(task) for task in repeatable} == {"succeeded"}
    stage.check(repeatable + single, at_most_once=set(single))
