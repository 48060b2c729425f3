"""A call at 3am is walked to the line, the commit and the people, and each arrow is checked.

A signed and reviewed commit, a real runner, a call that waited for a person's SSH signature,
a signed log. The commands that `orloj why` prints are run by other programs.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from why_world import WhyWorld, clerk

pytestmark = pytest.mark.story


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WhyWorld, str]]:
    world = WhyWorld(tmp_path_factory.mktemp("story"))
    with world.running():
        yield world, world.ran()


def shell(world: WhyWorld, command: str) -> str:
    """What another program answers in a clone of the repository."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=world.world.repository.work,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def why(world: WhyWorld, subject: str) -> Any:
    told = world.home.orloj("why", subject, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_each_arrow_of_the_walk_can_be_checked_without_us(
    ran: tuple[WhyWorld, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, task = ran
    found = why(world, f"{task}/2")
    assert found["people"]["signer"] == "dana@example.com"
    assert found["people"]["reviewers"] == ["Eve <eve@example.com>"]
    assert found["approval"]["approver"] == "ada"
    assert found["approval"]["signature"] == "verified"
    assert found["rule"]["written"]["author"] == "dana <dana@example.com>"
    assert found["proof"]["proved"]
    answers = [shell(world, one) for one in found["check"] if one.startswith("git ")]
    assert answers[0].strip() == found["rule"]["blob"]
    assert answers[1].splitlines() == [text for _, text in found["rule"]["excerpt"]]
    monkeypatch.chdir(tmp_path)  # One of them writes a file where it is run.
    for command in found["check"]:
        if command.startswith("orloj "):
            done = world.home.orloj(*command.split()[1:])
            assert done.returncode == 0, (command, done.stderr)


def test_a_commit_after_the_call_moves_nothing_of_its_walk(
    ran: tuple[WhyWorld, str],
) -> None:
    world, task = ran
    first, later = world.commit, clerk("read: tickets")
    world.push({"agents/clerk.yaml": f"# Later.\n# Later still.\n{later}"}, "Take it back")
    found = why(world, f"{task}/2")
    assert found["commit"]["commit"] == first
    assert found["rule"]["at"] == "agents/clerk.yaml:13"
    assert dict(found["rule"]["excerpt"])[13] == "      - write: tickets"
    assert found["again"]["result"] == "same"
    assert found["manifests"]["agent"]["commit"] == first
