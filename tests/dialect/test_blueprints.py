"""A blueprint runs at once: made, committed, applied and worked through without a key.

The processes are real: `orloj init`, then `orloj up` with its daemon, dispatcher and workers.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from public_place import Place

from reconciler import scaffold

pytestmark = pytest.mark.story

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
