"""A blueprint runs at once: made, committed, applied and worked through without a key.

The processes are real: `orloj init`, then `orloj up` with its daemon, dispatcher and workers.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler import scaffold

pytestmark = pytest.mark.story

PLAIN = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}
VISITS = {
    "pipeline": ["planner", "researcher", "writer"],
    "hierarchical": [
        *("editor", "manager", "marketing-lead", "marketing-worker"),
        *("research-lead", "research-worker"),
    ],
    "swarm-loop": ["coordinator", "coordinator", "scout-alpha", "scout-beta", "synthesizer"],
}
SAID = {
    "pipeline": "Report. Answers. Questions on what our customers ask for",
    "hierarchical": "Known so far",
    "swarm-loop": "The result.",
}


class Place:
    """A home that nobody used before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = PLAIN | {
            "ORLOJ_HOME": str(folder / "home"),
            "ORLOJ_SOURCE_INTERVAL_S": "1",
        }

    def orloj(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode in (0, 2), done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def up(self) -> Iterator[None]:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "up"],
            cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)

    def finished(self) -> dict[str, Any]:
        """The one task, once it is over."""
        self.until_applied()
        (task,) = json.loads(self.orloj("tasks", "--json"))
        self.orloj("wait", task["id"])
        return dict(json.loads(self.orloj("task", task["id"], "--json")))

    def until_applied(self) -> None:
        for _ in range(200):
            if json.loads(self.orloj("tasks", "--json")):
                return
        raise AssertionError(self.orloj("status"))


@pytest.mark.parametrize("name", scaffold.blueprints())
def test_a_blueprint_runs_from_end_to_end(name: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    said = place.orloj("init", "project", "--blueprint", name)
    assert "orloj graph" in said
    with place.up():
        task = place.finished()
    assert task["state"] == "succeeded", task
    assert SAID[name] in task["output"]
    steps = [step for step in task["steps"] if step["kind"] == "model"]
    assert sorted(step["agent"] for step in steps) == VISITS[name]


def test_a_blueprint_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "init", "project", "--blueprint", "ring"],
        cwd=tmp_path, env=Place(tmp_path).environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "hierarchical, pipeline, swarm-loop" in done.stderr
    assert not (tmp_path / "project").exists()
