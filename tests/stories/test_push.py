"""A push is deployed by the daemon, and no accident with it costs more than a condition."""

import json
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

from reconciler import recorded
from reconciler.follower import BACKOFF_MAX_S, backoff_s
from runner.contract import audit_check
from runner.contract.database import Database

pytestmark = pytest.mark.story


def agent(name: str, prompt: str = "Be brief.") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: {prompt}\n"
    )


class World:
    """A repository, a home, and the commands and the daemon that run on them."""

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
            "ORLOJ_SOURCE_INTERVAL_S": "3600",  # What is seen is seen by the watch.
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

    def run(self, *arguments: str, given: str = "", **variables: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            env=self.environment | variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
        )

    @contextmanager
    def daemon(self, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "daemon"],
                env=self.environment | variables,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            assert process.wait(timeout=30) is not None

    def log(self) -> list[dict[str, Any]]:
        text = (self.folder / "daemon.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def started(self) -> int:
        return sum(line["action"] == "daemon_started" for line in self.log())

    def state(self) -> Any:
        with self.database.read() as connection:
            return recorded.source(connection)

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [item.key.name for item in recorded.resources(connection)]

    def until(self, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, (
                f"not true in time; {self.state()}; {self.log()}"
            )
            time.sleep(0.005)

    def applied(self, commit: str) -> None:
        self.until(
            lambda: (state := self.state()) is not None and state.applied_commit == commit
        )

    def execute(self, statement: str) -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql(statement)

    def forbid_revisions(self, reason: str) -> None:
        how = f"BEGIN SELECT RAISE(ABORT, '{reason}'); END"
        if self.database.shared:
            self.execute(
                "CREATE OR REPLACE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN RAISE '{reason}' USING ERRCODE = 'integrity_constraint_violation';"
                " END $$"
            )
            how = "FOR EACH ROW EXECUTE FUNCTION forbid()"
        self.execute(f"CREATE TRIGGER forbidden BEFORE INSERT ON revision {how}")

    def permit_revisions(self) -> None:
        self.execute("DROP TRIGGER forbidden" + " ON revision" * self.database.shared)

    def condition(self, condition: str) -> None:
        self.until(lambda: (state := self.state()) is not None and state.condition == condition)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    world = World(tmp_path, database_url)
    with world.database.connect():
        yield world
    world.database.close()


def test_a_push_is_applied_by_the_watch_and_a_broken_one_is_not(world: World) -> None:
    first = world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.applied(first)
        world.push({"b.yaml": agent("b"), "broken.yaml": agent("c").replace("model", "modle")})
        world.condition("Stalled")
        assert world.names() == ["a"]
        problems = json.loads(world.state().problems)
        errors = [one["path"] for one in problems if one["severity"] == "error"]
        assert errors == ["broken.yaml"]
        mended = world.push({"broken.yaml": agent("c")})
        world.applied(mended)
    assert world.names() == ["a", "b", "c"]
    beside = ("leader_elected", "audit_published")
    assert [line["action"] for line in world.log() if line["action"] not in beside] == [
        "daemon_started",
        "pass_applied",
        "pass_rejected",
        "pass_applied",
        "daemon_stopped",
    ]
    with world.database.read() as connection:
        assert audit_check.verify(connection).holds


def test_the_newest_of_many_pushes_is_applied(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.daemon():
        commits = [world.push({"a.yaml": agent("a", f"Version {n}.")}) for n in range(10)]
        world.applied(commits[-1])


def test_a_remote_that_comes_back_is_followed_without_a_poll(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.condition("Ready")
        hidden = world.folder / "hidden.git"
        world.repository.origin.rename(hidden)
        assert world.run("reconcile", "--wait").returncode == 1
        assert world.state().condition in ("Reconciling", "Stalled")
        assert world.names() == ["a"]
        hidden.rename(world.repository.origin)
        assert world.run("reconcile", "--wait").returncode == 0


def test_json_is_printed_once_the_daemon_has_looked(world: World) -> None:
    commit = world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.applied(commit)
        done = world.run("reconcile", "--json")
    looked = {"commit": commit, "condition": "Ready", "reason": "Applied", "message": ""}
    sources = [{"name": "default", **looked}]
    assert json.loads(done.stdout) == {**looked, "sources": sources, "left": []}


def test_a_hangup_makes_the_daemon_look_again(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.daemon() as daemon:
        world.condition("Ready")
        before = world.state().checked_at
        daemon.send_signal(signal.SIGHUP)
        world.until(lambda: world.state().checked_at > before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_daemon_that_is_asked_to_stop_stops_cleanly(world: World, number: int) -> None:
    world.push({"a.yaml": agent("a")})
    with world.daemon() as daemon:
        world.condition("Ready")
        daemon.send_signal(number)
        assert daemon.wait(timeout=10) == 0
    assert world.log()[-1]["action"] == "daemon_stopped"


def test_a_home_has_one_daemon(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.daemon() as daemon:
        world.condition("Ready")
        second = world.run("daemon")
        assert second.returncode == 1
        assert f"already running as process {daemon.pid}" in second.stderr


def test_a_daemon_killed_at_any_moment_leaves_whole_commits_only(world: World) -> None:
    world.push({"0.yaml": agent("n0")})
    for number in range(1, 9):
        with world.daemon() as daemon:
            world.until(lambda: world.started() == number)  # noqa: B023
            world.push(
                {f"{number}.yaml": agent(f"n{number}"), "same.yaml": agent("s", f"v{number}")}
            )
            time.sleep(0.004 * number)  # The moment of the kill, not a wait for something.
            daemon.kill()
            daemon.wait(timeout=10)
        with world.database.read() as connection:
            assert audit_check.verify(connection).holds
            state, serial = recorded.source(connection), recorded.serial(connection)
            assert serial == len(recorded.revisions(connection))
        if state is not None and state.applied_commit is not None:
            there = world.repository.git("ls-tree", "--name-only", "-r", state.applied_commit)
            assert len(world.names()) == len(there.splitlines())
    with world.daemon():
        world.applied(world.repository.head())
    assert world.names() == sorted(f"n{number}" for number in range(9)) + ["s"]


def test_an_error_nobody_foresaw_is_a_condition_and_the_daemon_goes_on(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.condition("Ready")
        world.forbid_revisions("a rule nobody knows")
        commit = world.push({"b.yaml": agent("b")})
        world.condition("Reconciling")
        assert world.state().reason == "Internal"
        assert world.names() == ["a"]
        assert world.run("reconcile", "--wait").returncode == 1
        world.permit_revisions()
        world.applied(commit)
    failed = next(line for line in world.log() if line["action"] == "pass_failed")
    assert "a rule nobody knows" in failed["exception"]


@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])  # test_postgresql_faults
def test_a_database_that_fails_is_one_sentence_and_the_daemon_goes_on(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.condition("Ready")
        lock = world.home / "orloj.lock"
        lock.unlink()
        lock.mkdir()  # So that nobody can write.
        commit = world.push({"b.yaml": agent("b")})
        world.until(lambda: any(line["action"] == "pass_failed" for line in world.log()))
        assert world.names() == ["a"]
        lock.rmdir()
        world.applied(commit)
    (failed,) = [line for line in world.log() if line["action"] == "pass_failed"]
    assert "orloj.lock: Is a directory" in failed["message"]
    assert "exception" not in failed


def test_a_saved_plan_is_applied_once(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    planned = world.run("plan", "--out", "plan.json", "--detailed-exitcode")
    assert (planned.returncode, planned.stderr) == (2, "")
    assert "Plan: 1 to create, 0 to update, 0 to delete, 0 unchanged." in planned.stdout
    assert (world.folder / "plan.json").stat().st_mode & 0o777 == 0o600
    assert world.names() == []
    assert world.run("apply", "plan.json").returncode == 0
    assert world.names() == ["a"]
    again = world.run("apply", "plan.json")
    assert again.returncode == 4
    assert "Stale" in again.stderr
    assert world.run("plan", "--detailed-exitcode").returncode == 0


def test_a_saved_plan_that_somebody_edited_is_refused(world: World) -> None:
    world.push({"a.yaml": agent("a", "Be brief."), "b.yaml": agent("b")})
    world.run("plan", "--out", "plan.json")
    file = world.folder / "plan.json"
    text = file.read_text()
    file.write_text(text.replace("Be brief.", "Be long.", 1))
    refused = world.run("apply", "plan.json")
    assert refused.returncode == 1
    assert "was edited after it was made" in refused.stderr
    assert world.names() == []
    file.write_text(text)
    assert world.run("apply", "plan.json").returncode == 0


def test_where_git_is_not_installed_it_is_said(world: World) -> None:
    done = world.run("plan", PATH="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: git cannot be started: install it, or put it in PATH\n"


def test_a_look_at_no_repository_names_the_setting_at_once(world: World) -> None:
    with world.daemon(ORLOJ_SOURCE_URL=""):
        world.until(lambda: world.started() == 1)
        done = world.run("reconcile", "--wait", ORLOJ_SOURCE_URL="")
    assert done.returncode == 1
    assert "source.url is not set" in done.stderr


def test_a_saved_plan_is_stale_after_another_push(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.run("plan", "--out", "plan.json")
    world.push({"b.yaml": agent("b")})
    assert world.run("apply", "plan.json").returncode == 4
    assert world.names() == []


def test_a_plan_of_a_broken_commit_shows_where_and_fails(world: World) -> None:
    world.push({"a.yaml": agent("a"), "broken.yaml": agent("b").replace("model", "modle")})
    shown = world.run("plan")
    assert shown.returncode == 1
    assert "broken.yaml:6:3: error:" in shown.stdout
    told = world.run("plan", "--json")
    assert json.loads(told.stdout)["problems"][0]["line"] == 6


def test_a_plan_without_a_repository_names_the_setting(world: World) -> None:
    shown = world.run("plan", ORLOJ_SOURCE_URL="")
    assert shown.returncode == 1
    assert shown.stderr.startswith("Error: source.url is not set")


@pytest.mark.parametrize(
    ("answer", "arguments", "code", "names"),
    [
        pytest.param("y\n", (), 0, ["mine"], id="yes"),
        pytest.param("n\n", (), 1, [], id="no"),
        pytest.param("", (), 1, [], id="nobody answers"),
        pytest.param("", ("--yes",), 0, ["mine"], id="not asked"),
    ],
)
def test_files_are_applied_by_hand_after_a_yes(
    world: World, answer: str, arguments: tuple[str, ...], code: int, names: list[str]
) -> None:
    (world.folder / "mine.yaml").write_text(agent("mine"))
    done = world.run("apply", "-f", "mine.yaml", *arguments, given=answer)
    assert (done.returncode, world.names()) == (code, names)
    assert ("--yes" in done.stderr) == (code == 1)


def test_what_a_person_applied_stays_until_git_declares_it(world: World) -> None:
    (world.folder / "mine.yaml").write_text(agent("mine"))
    assert world.run("apply", "-f", "mine.yaml", "--yes").returncode == 0
    world.push({"a.yaml": agent("a")})
    assert world.run("reconcile").returncode == 0
    assert world.names() == ["a", "mine"]
    world.push({"mine.yaml": agent("mine")})
    shown = world.run("plan")
    assert "taken over from person:" in shown.stdout
    assert world.run("reconcile").returncode == 0
    refused = world.run("apply", "-f", "mine.yaml", "--yes")
    assert refused.returncode == 3
    assert "belongs to git:default: mine.yaml:1 at commit" in refused.stdout


def test_a_file_is_found_in_the_working_folder_of_the_repository(world: World) -> None:
    world.repository.write("mine.yaml", agent("mine"))
    done = world.run(
        "apply", "-f", "mine.yaml", "--yes", ORLOJ_SOURCE_URL=str(world.repository.work)
    )
    assert (done.returncode, world.names()) == (0, ["mine"])
    assert "There is no mine.yaml here; using" in done.stderr


def test_the_wait_after_failures_grows_to_a_limit() -> None:
    waits = [backoff_s(failures) for failures in range(1, 40)]
    assert waits[0] == 0.75
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_MAX_S
