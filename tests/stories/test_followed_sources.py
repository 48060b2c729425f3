"""Many repositories share one daemon, and none of them is another one's accident.

One that hangs, is frozen, suspended or taken out of the settings leaves all others alone, and
whatever is pushed last is what is applied last.
"""

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import git_servers
import pytest
from home import opened
from repository import Repository

from reconciler import cli, recorded
from reconciler.event import events
from reconciler.follower import BACKOFF_FIRST_S, Follower
from runner.contract import audit
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.source_settings import Source

pytestmark = pytest.mark.story


def agent(name: str) -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: Be brief.\n"
    )


def task(name: str, subject: str) -> str:
    """A template of work for an agent, without which it cannot be."""
    return (
        "apiVersion: orloj.dev/v1\nkind: Task\n"
        f"metadata:\n  name: {name}\nspec:\n  mode: template\n  agent: {subject}\n"
    )


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class World:
    """Two repositories, a home that follows both, and the commands that run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.database: Database = opened(self.home)
        self.repositories: dict[str, Repository] = {}
        self.more: dict[str, str] = {}
        for name in ("a", "b"):
            (folder / name).mkdir()
            self.repositories[name] = Repository(folder / name)
        self.environment = {"PATH": os.environ["PATH"], "ORLOJ_HOME": str(self.home)}

    def follow(self, **urls: str) -> None:
        """Write the settings; a repository of no other address is the local one."""
        self.home.joinpath("orloj.toml").write_text(
            "".join(
                f'[sources.{name}]\ninterval_s = 3600\nurl = "{url or self.url(name)}"\n'
                + self.more.get(name, "")
                for name, url in urls.items()
            )
        )

    def url(self, name: str) -> str:
        return self.repositories[name].url

    def push(self, name: str, files: dict[str, str | None]) -> str:
        repository = self.repositories[name]
        for path, text in files.items():
            if text is None:
                repository.remove(path)
            else:
                repository.write(path, text)
        commit = repository.commit("Change")
        repository.push()
        return commit

    def run(self, *arguments: str) -> Done:
        """A command, in this process: what is tested is the daemon beside it."""
        out, err = io.StringIO(), io.StringIO()
        argv, sys.argv = sys.argv, ["orloj", "--home", str(self.home), *arguments]
        try:
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
                cli.main()
        finally:
            sys.argv = argv
        return Done(int(end.value.code or 0), out.getvalue(), err.getvalue())

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "daemon"],
                env=self.environment,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)

    def log(self) -> list[dict[str, Any]]:
        text = (self.folder / "daemon.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def state(self, name: str) -> Any:
        with self.database.read() as connection:
            return recorded.source(connection, name)

    def owners(self) -> dict[str, str]:
        with self.database.read() as connection:
            return {item.key.name: item.owner for item in recorded.resources(connection)}

    def entries(self, kind: str) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            return [item.fields for item in audit.read(connection, type_prefix=kind)]

    def until(self, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, (
                f"not true in time; {self.state('a')}; {self.state('b')}; {self.log()[-3:]}"
            )
            time.sleep(0.005)

    def applied(self, name: str, commit: str) -> None:
        self.until(
            lambda: (state := self.state(name)) is not None and state.applied_commit == commit
        )

    def reason(self, name: str, reason: str) -> None:
        self.until(lambda: (state := self.state(name)) is not None and state.reason == reason)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with world.database.connect():
        yield world
    world.database.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes every call and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/x.git"


# One does not wait for another.


def test_a_remote_that_never_answers_holds_up_no_other(world: World, silent: str) -> None:
    world.follow(a=silent, b="")
    with world.daemon():
        for number in range(3):
            world.applied("b", world.push("b", {f"{number}.yaml": agent(f"n{number}")}))
        # The first look at the other, which may take a minute, has not come to its end.
        assert world.state("a") is None
    assert world.owners() == {f"n{number}": "git:b" for number in range(3)}


def test_one_that_hangs_is_named_and_the_other_is_applied(world: World, silent: str) -> None:
    world.more["a"] = "timeout_s = 1\n"
    world.follow(a=silent, b="")
    commit = world.push("b", {"b.yaml": agent("b")})
    done = world.run("reconcile", "--json")
    assert done.returncode == 1
    told = {item["name"]: item for item in json.loads(done.stdout)["sources"]}
    assert told["b"]["commit"] == commit
    assert told["a"]["reason"] == "RemoteUnreachable"
    assert "source.timeout_s" in told["a"]["message"]


# What is whose.


def test_what_both_declare_stays_with_the_first_and_the_place_is_named(world: World) -> None:
    world.follow(a="", b="")
    commit = world.push("a", {"agents/x.yaml": agent("x")})
    world.push("b", {"mine.yaml": agent("x"), "other.yaml": agent("other")})
    assert world.run("reconcile", "a").returncode == 0
    done = world.run("reconcile", "b")
    assert done.returncode == 1
    assert "Stalled (OwnedElsewhere)" in done.stdout
    assert f"belongs to git:a: agents/x.yaml:1 at commit {commit[:8]}" in done.stdout
    assert world.owners() == {"x": "git:a"}, "nothing of a blocked commit is applied"


def test_a_commit_that_names_what_another_declares_is_taken_up_once_that_is_there(
    world: World,
) -> None:
    world.follow(a="", b="")
    with world.daemon():
        commit = world.push("a", {"x.yaml": task("x", "search")})
        world.reason("a", "ManifestInvalid")
        world.push("b", {"search.yaml": agent("search")})
        world.applied("a", commit)
    assert world.owners() == {"x": "git:a", "search": "git:b"}


def test_what_another_needs_is_not_deleted_until_it_does_not_or_a_person_says_so(
    world: World,
) -> None:
    world.follow(a="", b="")
    world.push("b", {f"{name}.yaml": agent(name) for name in ("search", "read", "z")})
    world.push("a", {"x.yaml": task("x", "search"), "y.yaml": task("y", "read")})
    assert world.run("reconcile", "b").returncode == 0
    assert world.run("reconcile", "a").returncode == 0

    with world.daemon():
        commit = world.push("b", {"search.yaml": None})
        world.reason("b", "NeededElsewhere")
        words = world.state("b").message
        assert words.startswith("agent/default/search is deleted, and task/default/x of git:a")
        assert "(x.yaml:" in words
        world.push("a", {"x.yaml": task("x", "z")})  # It needs it no more.
        world.applied("b", commit)

        commit = world.push("b", {"read.yaml": None})
        world.reason("b", "NeededElsewhere")
        done = world.run(
            "reconcile", "b", "--allow-destroy", "agent/default/read", "--reason", "moved"
        )
        assert done.returncode == 0
        world.applied("b", commit)
    (entry,) = world.entries("manifest.overridden")
    assert (entry["resource"], entry["reason"]) == ("agent/default/read", "moved")


def test_what_a_repository_left_behind_holds_nobody_up(world: World) -> None:
    world.follow(a="", b="")
    world.push("b", {"search.yaml": agent("search"), "z.yaml": agent("z")})
    world.push("a", {"x.yaml": task("x", "search")})
    assert world.run("reconcile", "b").returncode == 0
    assert world.run("reconcile", "a").returncode == 0
    world.follow(b="")
    world.push("b", {"search.yaml": None})
    assert world.run("reconcile").returncode == 0


def test_a_repository_that_leaves_the_settings_leaves_all_it_applied(world: World) -> None:
    world.follow(a="", b="")
    world.push("a", {"x.yaml": agent("x")})
    world.push("b", {"y.yaml": agent("y")})
    assert world.run("reconcile").returncode == 0
    world.follow(b="")
    done = world.run("reconcile")
    assert done.returncode == 0
    assert "a is not in the settings any more. It left 1 resource that" in done.stderr
    assert world.owners() == {"x": "git:a", "y": "git:b"}
    shown = json.loads(world.run("status", "--json").stdout)["sources"]
    assert [(one["name"], one["followed"], one["resources"]) for one in shown] == [
        ("a", False, 1),
        ("b", True, 1),
    ]
    named = world.run("reconcile", "a")
    assert named.returncode == 1
    assert "a is not in the settings any more" in named.stderr


def test_a_repository_that_is_renamed_says_whose_everything_is(world: World) -> None:
    world.follow(a="")
    world.push("a", {"x.yaml": agent("x")})
    assert world.run("reconcile").returncode == 0
    world.follow(renamed=world.url("a"))
    done = world.run("reconcile")
    assert done.returncode == 1
    assert "Stalled (OwnedElsewhere)" in done.stdout
    assert "which is not in the settings any more: call a repository a again" in done.stdout
    world.follow(a="")
    assert world.run("reconcile").returncode == 0


# The newest is what counts.


def test_what_is_pushed_while_another_commit_waits_is_taken_at_once(world: World) -> None:
    world.follow(a="")
    with world.daemon():
        world.push("a", {"x.yaml": task("x", "missing")})
        world.reason("a", "ManifestInvalid")
        fixed = world.push("a", {"x.yaml": agent("x")})
        world.applied("a", fixed)
        commits = [
            world.push("a", {"x.yaml": agent("x").replace("brief", f"brief {n}")})
            for n in range(8)
        ]
        world.applied("a", commits[-1])
        assert world.run("reconcile", "--wait").returncode == 0
    with world.database.read() as connection:
        revisions = [item.commit for item in reversed(recorded.revisions(connection))]
    order = [fixed, *commits]
    assert revisions == [commit for commit in order if commit in revisions]
    assert revisions[-1] == commits[-1], "nothing older comes after the newest"


def test_a_push_ends_a_wait_after_failures_and_a_poll_does_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    repository = Repository(tmp_path / "a")
    settings = Settings(
        home=tmp_path / "home", sources={"a": Source(url=str(tmp_path / "absent.git"))}
    )
    database = opened(tmp_path / "home")
    follower = Follower(settings, database, "a", lambda: None)

    def finish() -> Any:
        deadline = time.monotonic() + 30
        while (result := follower.step()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return result

    try:
        follower.look()
        assert finish().outcome == "failed"
        waits = follower.wait_s()
        assert waits is not None
        assert waits <= BACKOFF_FIRST_S * 1.1
        repository.manifest("x")
        repository.origin.rename(tmp_path / "absent.git")
        follower._on_poll()
        assert follower.step() is None
        assert follower.wait_s() is not None, "it still waits"
        follower._on_push()
        assert finish().outcome != "failed"
        assert follower.wait_s() is None
    finally:
        follower.stop()
        database.close()


# Frozen, suspended, let pass.


def closing(seconds: int) -> str:
    """A window in the settings that is open now and closes in so many seconds."""
    now = datetime.now(UTC)
    opened_at = (now - timedelta(minutes=1)).replace(second=0, microsecond=0)
    length = int((now - opened_at).total_seconds()) + seconds
    return (
        f'[[sources.a.freeze]]\ncron = "{opened_at.minute} {opened_at.hour} * * *"\n'
        f'duration = "{length}s"\n'
    )


def test_the_daemon_applies_the_newest_when_the_window_closes_and_nobody_asks(
    world: World,
) -> None:
    world.more["a"] = closing(8)
    world.follow(a="", b="")
    world.push("a", {"x.yaml": agent("old")})
    with world.daemon():
        world.reason("a", "Frozen")
        newest = world.push("a", {"x.yaml": agent("new")})
        world.until(lambda: world.state("a").attempted_commit == newest)
        assert world.state("a").applied_commit is None
        planned = world.run("plan", "--source", "a", "--json")
        assert planned.returncode == 3
        (block,) = json.loads(planned.stdout)["blocks"]
        assert block["reason"] == "Frozen"
        assert block["until"]
        world.applied("a", newest)
    said = [line["commit"] for line in world.log() if line["action"] == "pass_rejected"]
    assert len(said) == len(set(said)), "each commit that waits is said once"
    assert world.owners() == {"new": "git:a"}


FROZEN = '[[sources.a.freeze]]\ncron = "* * * * *"\nduration = "2m"\n'


def test_a_freeze_is_overridden_for_one_commit_with_a_reason(world: World) -> None:
    world.more["a"] = FROZEN
    world.follow(a="", b="")
    commit = world.push("a", {"x.yaml": agent("x")})
    with world.daemon():
        world.reason("a", "Frozen")
        silent = world.run("reconcile", "a", "--override-freeze")
        assert silent.returncode == 1
        assert "--reason TEXT is missing" in silent.stderr
        many = world.run("reconcile", "--override-freeze", "--reason", "hot fix")
        assert many.returncode == 1
        assert "name the repository for which to let it pass, one of: a, b" in many.stderr
        done = world.run("reconcile", "a", "--override-freeze", "--reason", "hot fix", "--wait")
        assert (done.returncode, done.stdout[:5]) == (0, "Ready")
        world.applied("a", commit)
        world.push("a", {"x.yaml": agent("y")})
        world.reason("a", "Frozen")
    (entry,) = world.entries("manifest.overridden")
    assert (entry["outcome"], entry["commit"], entry["reason"]) == ("freeze", commit, "hot fix")
    assert entry["actor"].startswith("person:")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--allow-destroy", "agent/default/y"), "it deletes: agent/default/x"),
        (("--approve", "abcdefabcdef"), "is not the plan of commit"),
        (("--approve", ""), "is not the plan of commit"),
    ],
    ids=["key", "id", "empty id"],
)
def test_what_the_plan_does_not_hold_is_not_let_pass(
    flags: tuple[str, ...], words: str, world: World
) -> None:
    world.more["a"] = ""
    world.follow(a="")
    world.push("a", {"x.yaml": agent("x"), "z.yaml": agent("z")})
    assert world.run("reconcile").returncode == 0
    world.push("a", {"x.yaml": None})
    done = world.run("reconcile", *flags, "--override-freeze", "--reason", "because")
    assert done.returncode == 1
    assert words in done.stderr
    assert world.entries("manifest.overridden") == []
    assert set(world.owners()) == {"x", "z"}


def test_a_plan_is_approved_by_its_id_and_a_deletion_by_its_key(world: World) -> None:
    world.follow(a="")
    world.push("a", {"x.yaml": agent("x"), "z.yaml": agent("z")})
    assert world.run("reconcile").returncode == 0
    world.push("a", {"x.yaml": None})
    planned = json.loads(world.run("plan", "--source", "a", "--json").stdout)
    done = world.run(
        "reconcile", "a", "--approve", planned["id"].removeprefix("sha256:")[:12],
        "--allow-destroy", "agent/default/x", "--accept-rewrite", "--reason", "agreed",
    )  # fmt: skip
    assert done.returncode == 0
    told = {entry["outcome"]: entry["resource"] for entry in world.entries("manifest.over")}
    assert told == {
        "destroy": "agent/default/x", "plan": planned["id"], "rewrite": "source/a",
    }  # fmt: skip


def test_suspend_and_resume_work_with_and_without_a_daemon(world: World) -> None:
    world.follow(a="", b="")
    first = world.push("a", {"x.yaml": agent("x")})
    assert world.run("reconcile", "a").returncode == 0
    done = world.run("suspend", "a", "--reason", "audit week", "--json")
    assert done.returncode == 0
    (row,) = json.loads(done.stdout)["sources"]
    assert (row["name"], row["suspended"], row["reason"]) == ("a", True, "audit week")
    assert world.state("a").reason == "Suspended"
    newest = world.push("a", {"x.yaml": agent("y")})
    with world.daemon():
        other = world.push("b", {"b.yaml": agent("b")})
        world.applied("b", other)
        asked = world.run("reconcile", "a", "--wait")
        assert (asked.returncode, "Stalled (Suspended)" in asked.stdout) == (1, True)
        assert world.state("a").applied_commit == first
        planned = world.run("plan", "--source", "a")
        assert planned.returncode == 0
        assert "1 to move" in planned.stdout
        assert "Nothing is applied now: person:" in planned.stderr
        resumed = world.run("resume", "a")
        assert resumed.returncode == 0
        assert "The daemon is looking" in resumed.stderr
        world.applied("a", newest)
    assert [item["reason"] for item in world.entries("source.suspended")] == ["audit week"]
    assert len(world.entries("source.resumed")) == 1


def test_a_name_that_is_no_repository_lists_those_that_are(world: World) -> None:
    world.follow(a="", b="")
    for command in ("suspend", "resume", "reconcile"):
        done = world.run(command, "c")
        assert done.returncode == 1
        assert "there is no repository c" in done.stderr
        assert "there: a, b" in done.stderr


# Credentials, from the daemon's side.


def test_a_token_that_was_rotated_is_used_and_stands_nowhere(world: World) -> None:
    token = world.folder / "token"
    token.write_text("first-hunter2")
    token.chmod(0o600)
    with git_servers.https_server(world.folder / "tls", world.repositories["a"].origin) as web:
        web.token = "first-hunter2"
        world.more["a"] = f'token_file = "{token}"\nca_file = "{web.authority}"\n'
        world.follow(a=web.url)
        commit = world.push("a", {"x.yaml": agent("x")})
        with world.daemon():
            world.applied("a", commit)
            web.token = "second-hunter2"
            assert world.run("reconcile", "--wait").returncode == 1
            state = world.state("a")
            assert (state.condition, state.reason) == ("Stalled", "AuthenticationFailed")
            token.write_text("second-hunter2")
            assert world.run("reconcile", "--wait").returncode == 0
        assert world.state("a").condition == "Ready"
        status = world.run("status", "--json").stdout + world.run("audit", "log").stdout
    with world.database.read() as connection:
        told = repr(events.read(connection)) + repr(recorded.sources(connection))
    log = (world.folder / "daemon.log").read_text()
    assert "AuthenticationFailed" in told
    for text in (status, told, log):
        assert "hunter2" not in text
    kept = [
        file
        for file in world.home.rglob("*")
        if file.is_file() and b"hunter2" in file.read_bytes()
    ]
    assert kept == [], "not even encoded as it is, only as the header in git's configuration"


def test_a_new_tag_in_the_range_is_applied_when_it_is_pushed(world: World) -> None:
    world.more["a"] = 'semver = "1.x"\n'
    world.follow(a="")
    repository = world.repositories["a"]
    first = world.push("a", {"x.yaml": agent("x")})
    repository.git("tag", "v1.0.0")
    repository.git("push", "--quiet", "--tags", "origin")
    with world.daemon():
        world.applied("a", first)
        assert world.state("a").ref == "v1.0.0 of 1.x"
        second = world.push("a", {"x.yaml": agent("y")})
        repository.git("tag", "v2.0.0")
        repository.git("tag", "v1.1.0")
        repository.git("push", "--quiet", "--tags", "origin")
        world.applied("a", second)
        assert world.state("a").ref == "v1.1.0 of 1.x"
