"""A call at 3am is walked to the line, the commit and the people, and each arrow is checked.

A signed and reviewed commit, a real runner, a call that waited for a person's SSH signature,
a signed log. The commands that `orloj why` prints are run by other programs.
"""

import json
import subprocess
from pathlib import Path

import pytest
from why_world import WhyWorld, clerk

pytestmark = pytest.mark.story


def test_each_arrow_of_the_walk_can_be_checked_without_us(tmp_path: Path) -> None:
    world = WhyWorld(tmp_path)
    with world.running():
        task = world.ran()
        told = world.home.orloj("why", f"{task}/2", "--json")
        assert told.returncode == 0, told.stderr
        found = json.loads(told.stdout)
        assert found["people"]["signer"] == "dana@example.com"
        assert found["people"]["reviewers"] == ["Eve <eve@example.com>"]
        assert found["approval"]["approver"] == "ada"
        assert found["approval"]["signature"] == "verified"
        assert found["rule"]["written"]["author"] == "dana <dana@example.com>"
        assert found["proof"]["proved"]
        for command in found["check"]:
            if command.startswith("git "):
                done = subprocess.run(
                    ["/bin/sh", "-c", command],
                    cwd=world.world.repository.work,
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, (command, done.stderr)
            else:
                done = world.home.orloj(*command.split()[1:])
                assert done.returncode == 0, (command, done.stderr)
        (blob,) = [c for c in found["check"] if c.startswith("git rev-parse")]
        shown = subprocess.run(
            ["/bin/sh", "-c", blob],
            cwd=world.world.repository.work,
            capture_output=True,
            text=True,
        )
        assert shown.stdout.strip() == found["rule"]["blob"]


def test_a_commit_after_the_call_moves_nothing_of_its_walk(tmp_path: Path) -> None:
    world = WhyWorld(tmp_path)
    with world.running():
        task, first = world.ran(), world.commit
        later = clerk("read: tickets")
        world.push({"agents/clerk.yaml": f"# Later.\n# Later still.\n{later}"}, "Take it back")
        found = json.loads(world.home.orloj("why", f"{task}/2", "--json").stdout)
        assert found["commit"]["commit"] == first
        assert found["rule"]["at"] == "agents/clerk.yaml:13"
        assert dict(found["rule"]["excerpt"])[13] == "      - write: tickets"
        assert found["again"]["result"] == "same"
        assert found["manifests"]["agent"]["commit"] == first
