"""A pushed schedule fires by itself, once a moment, whatever kills the daemon and when."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home
from repository import Repository

from runner.contract import audit_check, clock

pytestmark = pytest.mark.story

MINUTE = 60_000_000
TEMPLATE = """\
apiVersion: orloj.dev/v1
kind: Agent
metadata: {name: clerk}
spec: {model_ref: scripted, prompt: Be brief.}
---
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata: {name: scripted}
spec: {provider: mock, default_model: m, script: {clerk: [{reply: done}]}}
---
apiVersion: orloj.dev/v1
kind: Task
metadata: {name: report}
spec: {agent: clerk, mode: template}
"""
SCHEDULE = """\
---
apiVersion: orloj.dev/v1
kind: TaskSchedule
metadata: {name: %s}
spec: {task_ref: report, schedule: "* * * * *", concurrency_policy: allow}
"""


class World:
    """A repository with schedules, a home, and daemons on it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.home = Home(folder / "home", url)
        self.home.rows("SELECT 1")
        self.repository = Repository(folder)
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_HOME": str(self.home.folder),
            "ORLOJ_SOURCE_URL": self.repository.url,
            "ORLOJ_SOURCE_INTERVAL_S": "3600",
            "ORLOJ_DATABASE_URL": url,
        }

    def push(self, *groups: list[str]) -> None:
        self.repository.write("template.yaml", TEMPLATE)
        for number, names in enumerate(groups):
            text = "".join(SCHEDULE % name for name in names)
            self.repository.write(f"schedules-{number}.yaml", text)
        self.repository.commit("Change")
        self.repository.push()

    def start(self, home: str = "home") -> subprocess.Popen[bytes]:
        """A daemon; in another home of this folder it is one as another host has it."""
        there = self.folder / home
        there.mkdir(exist_ok=True)
        for key in self.home.folder.glob("secret.key"):
            (there / key.name).write_bytes(key.read_bytes())
        with (self.folder / f"{home}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "reconciler", "--home", str(there), "daemon"],
                env=self.environment,
                stderr=log,
            )

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        process = self.start()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            assert process.wait(timeout=30) is not None

    def sleep_through(self, names: list[str]) -> None:
        """Make it so that nobody looked at these schedules for three minutes."""
        since = clock.now_us() - 3 * MINUTE
        with self.home.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE schedule SET through_at = ? WHERE name = ?",
                [(since, name) for name in names],
            )

    def decided(self, names: list[str]) -> int:
        """How many of these schedules had a moment queued."""
        return len({*names} & {row[0] for row in self.fires() if row[2] == "queued"})

    def fires(self) -> list[Any]:
        return self.home.rows(
            "SELECT f.name, f.fire_at, f.decision, t.id, t.actor FROM schedule_fire f"
            " LEFT JOIN task t ON t.id = f.task_id ORDER BY f.name, f.fire_at"
        )

    def log(self, home: str = "home") -> list[dict[str, Any]]:
        text = (self.folder / f"{home}.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def last_words(self) -> list[dict[str, Any]]:
        return self.log()[-5:]

    def followed(self, count: int) -> None:
        self.home.until(
            lambda: self.home.rows("SELECT count(*) FROM schedule") == [(count,)],
            explain=self.last_words,
        )


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    made = World(tmp_path, database_url)
    yield made
    made.home.close()


def test_daemons_killed_at_any_moment_fire_each_moment_once(world: World) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    rounds = [[f"r{turn}-{number:03}" for number in range(120)] for turn in range(3)]
    names = [name for group in rounds for name in group]
    world.push(*rounds)
    with world.daemon():
        world.followed(len(names))
    for group in rounds:
        world.sleep_through(group)
        process = world.start()
        world.home.until(lambda g=group: world.decided(g), explain=world.last_words)
        time.sleep(chance.uniform(0, 0.6))  # Anywhere in what is left to decide.
        process.kill()
        process.wait()
    with world.daemon():
        world.home.until(lambda: world.decided(names) == len(names), explain=world.last_words)
    fires = world.fires()
    queued = [row for row in fires if row[2] == "queued"]
    tasks = [row[3] for row in queued]
    assert None not in tasks, f"a moment without its task; seed {seed}"
    assert len({*tasks}) == len(tasks) == world.home.rows("SELECT count(*) FROM task")[0][0]
    assert all(row[4] == f"schedule:default/{row[0]}" for row in queued)
    assert len({(row[0], row[1]) for row in fires}) == len(fires)
    with world.home.database.read() as connection:
        assert audit_check.verify(connection).holds
    types = [entry["type"] for entry in world.home.entries()]
    assert types.count("schedule.fired") == types.count("task.queued") == len(queued)


def test_another_host_fires_what_a_killed_one_left(tmp_path: Path, postgresql_url: str) -> None:
    world = World(tmp_path, postgresql_url)
    names = [f"s{number:03}" for number in range(120)]
    world.push(names)
    with world.daemon():
        world.followed(len(names))
    world.sleep_through(names)
    first = world.start()
    world.home.until(lambda: world.decided(names), explain=world.last_words)
    first.send_signal(signal.SIGSTOP)  # It leads and decides no more, and nobody knows.
    second = world.start("elsewhere")
    try:
        world.home.until(
            lambda: "leader_waiting" in {line["action"] for line in world.log("elsewhere")}
        )
        first.kill()
        first.wait()
        world.home.until(lambda: world.decided(names) == len(names), explain=world.last_words)
    finally:
        second.terminate()
        second.wait(timeout=30)
    queued = [row for row in world.fires() if row[2] == "queued"]
    assert len({row[3] for row in queued}) == len(queued)
    assert world.home.rows("SELECT count(*) FROM task") == [(len(queued),)]
    world.home.close()


def test_a_schedule_fires_by_itself_at_the_minute_and_its_task_runs(tmp_path: Path) -> None:
    world = World(tmp_path, "")
    world.push(["often"])
    with world.daemon(), world.home.runner(workers=1):
        world.followed(1)
        assert world.fires() == []
        world.home.until(lambda: len(world.fires()) == 1, 65, world.last_words)
        ((_, fire_at, decision, task, _),) = world.fires()
        world.home.wait([task], {"succeeded"})
    assert decision == "queued"
    assert fire_at % MINUTE == 0
    ((decided_at,),) = world.home.rows("SELECT decided_at FROM schedule_fire")
    assert 0 <= decided_at - fire_at < 5_000_000
    (fired,) = [line for line in world.log() if line["action"] == "schedule_fired"]
    assert (fired["task"], fired["schedule"]) == (task, "taskschedule/default/often")
    world.home.close()


def test_what_is_applied_by_hand_is_heard_of_at_once(world: World) -> None:
    world.push()
    with world.daemon():
        world.home.until(
            lambda: world.home.rows("SELECT 1 FROM revision"), explain=world.last_words
        )
        (world.folder / "mine.yaml").write_text(SCHEDULE % "mine", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", "apply", "-f", "mine.yaml", "--yes"],
            env=world.environment,
            cwd=world.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        world.followed(1)
