"""Somebody who types: what is shown is what happened, and going back is one command."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from status_world import World, agent

pytestmark = pytest.mark.story


class Typist:
    """Types commands in the home of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(world.home),
            "ORLOJ_HOME": str(world.home),
            "ORLOJ_SOURCE_URL": world.repository.url,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> Any:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err, err
        return process.returncode, out, err


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.now_us = time.time_ns() // 1_000
    yield world
    world.database.close()


def test_going_back_is_one_command_and_every_reader_tells_the_same(world: World) -> None:
    orloj = Typist(world)
    good = world.push({"a.yaml": agent("a")}, "Good")
    world.look()
    world.push({"a.yaml": agent("a", "Bad."), "b.yaml": agent("b")}, "Bad")
    world.look()
    code, out, err = orloj("rollback", good[:9])
    assert (code, "1 to update, 1 to delete" in out) == (1, True), err
    assert "add --yes" in err
    code, out, err = orloj("rollback", good, "--yes")
    assert (code, "Next: orloj reconcile --wait" in out) == (0, True), err
    code, out, _ = orloj("reconcile", "--wait")
    assert (code, "Ready (Applied)" in out) == (0, True)
    assert world.names() == ["a"]
    _, out, _ = orloj("history", "--json")
    rows = json.loads(out)
    assert [row["subject"] for row in rows] == [f"Roll back to {good[:12]}", "Bad", "Good"]
    assert rows[0]["cause"] == "request"
    _, out, _ = orloj("history", "show", str(rows[0]["id"]))
    assert "agent/default/b" in out
    _, out, _ = orloj("trace", "a", "--json")
    assert json.loads(out)["written_in"]["subject"] == f"Roll back to {good[:12]}"
    _, out, _ = orloj("history", "agent/default/b", "--json")
    assert [row["action"] for row in json.loads(out)] == ["delete", "create"]
    code, _, err = orloj("trace", "c")
    assert (code, "there is no resource 'c'" in err) == (1, True)
    code, out, _ = orloj("health", "a")
    assert (code, "needs modelendpoint/default/default" in out) == (1, True)


def test_events_are_followed_line_by_line_until_somebody_stops_it(world: World) -> None:
    orloj = Typist(world)
    world.push({"a.yaml": agent("a")}, "First")
    world.look()
    following = orloj.start("events", "-f", "--json")
    assert following.stdout is not None
    assert json.loads(following.stdout.readline())["message"].endswith("First")
    world.push({"a.yaml": agent("a", "Other.")}, "Second")
    world.look()
    line = json.loads(following.stdout.readline())
    assert (line["reason"], line["count"]) == ("Applied", 1)
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=30)
    assert (following.returncode, "Traceback" in err) == (130, False)


def test_the_status_shows_every_repository_and_the_ones_left_behind(world: World) -> None:
    orloj = Typist(world)
    world.push({"a.yaml": agent("a")})
    world.look()
    (world.home / "orloj.toml").write_text("[sources.team-b]\nurl = '/nowhere/b.git'\n")
    _, out, _ = orloj("status", "--json")
    found = json.loads(out)
    assert [(one["name"], one["followed"]) for one in found["sources"]] == [
        ("default", True),
        ("team-b", True),
    ]
    assert found["source"]["applied_commit"] == found["sources"][0]["applied_commit"]
    code, _, _ = orloj("status", "--exit-code")
    assert code == 1, "team-b was never applied"
    del orloj.environment["ORLOJ_SOURCE_URL"]
    _, out, _ = orloj("status")
    assert "no longer followed; owns 1 resources" in out
