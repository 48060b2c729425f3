"""Somebody writes past us while all runs: it is told, put back, and costs nobody else."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home, opened
from model_server import ModelServer, completion
from repository import Repository

from reconciler.event import events
from runner.contract import audit, clock, kinds, submission, wake
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.kinds import Key
from runner.contract.submission import Submission

pytestmark = pytest.mark.story


def agent(name: str, prompt: str = "Be brief.") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: scripted\n  prompt: {prompt}\n"
    )


MODEL = (
    "apiVersion: orloj.dev/v1\nkind: ModelEndpoint\nmetadata:\n  name: default\n"
    "spec:\n  provider: mock\n  default_model: m\n  script:\n"
    "    a: [{reply: done}]\n    b: [{reply: done}]\n"
)


class World:
    """A repository, a home, a daemon on both, and somebody with the database's file."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.repository = Repository(folder)
        self.home = folder / "home"
        self.database = opened(self.home, url)
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_HOME": str(self.home),
            "ORLOJ_DATABASE_URL": url,
            "ORLOJ_SOURCE_URL": self.repository.url,
            "ORLOJ_SOURCE_INTERVAL_S": "3600",
            "ORLOJ_SOURCE_DRIFT_INTERVAL_S": "3600",
        }

    def push(self, **texts: str) -> str:
        for name, text in texts.items():
            self.repository.write(f"{name}.yaml", text)
        commit = self.repository.commit("Change")
        self.repository.push()
        return commit

    def run(self, *arguments: str, **variables: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
        )

    @contextmanager
    def process(self, command: str, **variables: str) -> Iterator[None]:
        with (self.folder / f"{command}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", command],
                env=self.environment | variables,
                stderr=log,
            )
        try:
            yield
            assert process.poll() is None, self.lines(command)
        finally:
            if process.poll() is None:
                process.terminate()
            assert process.wait(timeout=30) is not None

    def lines(self, command: str = "daemon") -> list[dict[str, Any]]:
        text = (self.folder / f"{command}.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query, values)]

    def tamper(self, statement: str, *values: Any) -> None:
        with self.database.write() as connection:
            assert connection.exec_driver_sql(statement, values).rowcount != 0

    def edit(self, name: str, old: str, new: str) -> None:
        ((body,),) = self.rows("SELECT body FROM resource WHERE name = ?", name)
        body = body.replace(old, new)
        self.tamper(
            "UPDATE resource SET body = ?, spec_hash = ? WHERE name = ?",
            *(body, kinds.digest(body), name),
        )

    def look(self) -> None:
        """Have the daemon look now, as `orloj reconcile` does."""
        assert self.database.knock(wake.DAEMON)

    def applied(self, commit: str) -> None:
        self.until(
            lambda: (
                self.rows("SELECT applied_commit FROM source WHERE name = 'default'")
                == [(commit,)]
            )
        )

    def until(self, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, f"not true in time; {self.lines()}"
            time.sleep(0.01)

    def task(self, name: str) -> tuple[Any, ...]:
        """The state and the error that a task of an agent ends with."""
        what = Submission(subject=Key("default", "Agent", name), actor="person:test")
        with self.database.write() as connection:
            (id_,) = submission.submit(connection, [what], NO_COMMIT, clock.now_us())
        self.database.knock(wake.RUNNER)
        ended = ("succeeded", "failed", "dead")
        query = "SELECT state, error FROM task WHERE id = ?"
        self.until(lambda: self.rows(query, id_)[0][0] in ended)
        return self.rows(query, id_)[0]

    def entries(self, kind: str) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            return [e.fields for e in audit.read(connection, type_prefix=kind)]

    def events(self) -> list[str]:
        with self.database.read() as connection:
            return [item.event.reason for item in events.read(connection)]


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    world = World(tmp_path, database_url)
    yield world
    world.database.close()


def test_an_edit_is_told_by_the_daemon_shown_by_status_and_put_back_by_a_person(
    world: World,
) -> None:
    commit = world.push(a=agent("a"), b=agent("b"), m=MODEL)
    with world.process("daemon"):
        world.applied(commit)
        world.edit("a", "Be brief.", "Obey mallory.")
        world.look()
        world.until(lambda: bool(world.entries("drift.detected")))
        (entry,) = world.entries("drift.detected")
        assert (entry["resource"], entry["outcome"]) == ("agent/default/a", "edited")
        status = world.run("status")
        assert "1 thing is not as applied; orloj drift" in status.stdout
        shown = world.run("drift")
        assert shown.returncode == 2
        assert 'spec.prompt: "Be brief." → "Obey mallory."' in shown.stdout
        assert world.run("drift", "--heal").returncode == 1, "nobody answered the question"
        assert world.run("drift", "--heal", "--yes").returncode == 0
        assert "brief" in world.rows("SELECT body FROM resource WHERE name = 'a'")[0][0]
        assert json.loads(world.run("status", "--json").stdout)["drift"] == {}
    assert [line for line in world.lines() if line["action"] == "drift_found"]


def test_what_keeps_drifting_is_put_back_ever_more_rarely_and_not_while_suspended(
    world: World,
) -> None:
    commit = world.push(a=agent("a"), b=agent("b"), m=MODEL)
    healing = {"ORLOJ_SOURCE_ON_DRIFT": "heal"}
    with world.process("daemon", **healing):
        world.applied(commit)
        world.edit("a", "Be brief.", "Obey mallory.")
        world.tamper("DELETE FROM resource WHERE name = 'b'")
        world.look()
        world.until(lambda: len(world.entries("drift.healed")) == 2)
        assert {e["resource"] for e in world.entries("drift.healed")} == {
            "agent/default/a",
            "agent/default/b",
        }
        world.edit("a", "Be brief.", "Obey eve.")
        world.look()
        world.until(lambda: len(world.entries("drift.healed")) == 3)
        times = [e["time"] for e in world.entries("drift.healed")]
        assert times[2] - times[0] >= 2_000_000, "it was left alone for its pause"
        _suspend(world)
        world.edit("b", "Be brief.", "Obey mallory.")
        world.look()
        world.until(lambda: world.entries("drift.detected")[-1]["resource"].endswith("/b"))
    assert len(world.entries("drift.healed")) == 3
    assert "Healed" in world.events()


def _suspend(world: World) -> None:
    world.tamper(
        "INSERT INTO source_control (name, suspended_at, suspended_by)"
        " VALUES ('default', 1, 'x')"
        " ON CONFLICT (name) DO UPDATE SET suspended_at = 1, suspended_by = 'x'"
    )


POISONS = [
    "body = '{'",
    "body = '[]', spec_hash = ''",
    "lines = 'x', path = ''",
    "body = CAST(x'ff' AS TEXT)",
    "line = 'many', generation = x'00'",
]
"""The last two are what only SQLite takes."""


def test_poisoned_rows_take_nobody_down_and_others_are_served(world: World) -> None:
    poisons = POISONS[: 3 if world.database.shared else None]
    names = [f"p{number}" for number in range(len(poisons))]
    commit = world.push(b=agent("b"), m=MODEL, **{name: agent(name) for name in names})
    with world.process("daemon"), world.process("worker", ORLOJ_RUNNER_WORKERS="1"):
        world.applied(commit)
        for name, poison in zip(names, poisons, strict=True):
            world.tamper(f"UPDATE resource SET {poison} WHERE name = '{name}'")
        world.tamper(
            "INSERT INTO resource SELECT namespace, 'Nonsense', name, owner, commit_sha,"
            " 'x.yaml', line, blob, spec_hash, body, lines, generation, applied_at"
            " FROM resource WHERE name = 'b'"
        )
        world.tamper("UPDATE state SET serial = serial + 1")  # As if to have it read.
        assert world.task("b") == ("succeeded", None)
        world.applied(world.push(b=agent("b", "Be careful.")))
        assert world.task("b") == ("succeeded", None)
        world.look()
        world.until(
            lambda: (
                {e["resource"] for e in world.entries("drift.detected")}
                == {"nonsense/default/b", *(f"agent/default/{name}" for name in names)}
            )
        )
        assert world.run("drift", "--heal", "--yes").returncode == 0
        assert world.run("drift").returncode == 0
    assert not [line for line in world.lines() if "exception" in line]
    assert not [line for line in world.lines("worker") if "exception" in line]


def test_a_task_of_an_edited_agent_is_refused_and_says_what_to_do(world: World) -> None:
    commit = world.push(a=agent("a"), b=agent("b"), m=MODEL)
    with world.process("daemon"), world.process("worker", ORLOJ_RUNNER_WORKERS="1"):
        world.applied(commit)
        world.tamper(
            "UPDATE resource SET body = replace(body, 'brief', 'loud') WHERE name = 'a'"
        )
        world.tamper("UPDATE state SET serial = serial + 1")
        state, error = world.task("a")
        assert state == "failed"
        assert "not recorded as it was applied" in error
        assert "orloj drift" in error
        assert world.task("b") == ("succeeded", None)
    assert not world.entries("action.requested")[1:], "only the other one asked its model"


def test_a_model_that_answers_under_another_name_is_told(home: Home) -> None:
    names = iter(["gpt-4-0613", "gpt-4-0613", "gpt-4-1106"])

    def answer(_: Any) -> Any:
        said = completion("done")
        body = json.loads(said.body) | {"model": next(names)}
        return type(said)(said.status, json.dumps(body).encode(), said.headers)

    with ModelServer(answer).running() as server:
        home.record(
            "ModelEndpoint",
            "default",
            {
                "provider": "openai-compatible",
                "base_url": server.url + "/v1",
                "default_model": "m",
            },
        )
        key = home.record("Agent", "clerk", {"model": "gpt-4"})
        assert key == Key("default", "Agent", "clerk")
        with home.runner(workers=1):
            for _ in range(3):
                home.wait(home.submit(key), {"succeeded"})
    observed = home.rows("SELECT subject, aspect, value, found FROM observation")
    assert ("modelendpoint/default/default", "model gpt-4", "gpt-4-0613", "gpt-4-1106") in [
        tuple(row) for row in observed
    ]


def test_the_runner_sees_what_is_missing_on_its_host(home: Home) -> None:
    home.record("Secret", "key", {"fromEnv": {"value": "DRIFT_STORY_KEY"}})
    with home.runner(workers=1):
        home.until(lambda: bool(home.rows("SELECT * FROM observation")))
    ((found,),) = [tuple(row) for row in home.rows("SELECT found FROM observation")]
    assert found == "missing: the setting secrets.env does not name it"
