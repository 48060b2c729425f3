"""`orloj graph` draws a system as declared, and a task where it is, whatever names say."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import Orloj
from home import Home

from runner.contract.kinds import Key

GRAPH = {
    "lead": {"edges": [{"to": "ann"}, {"to": "bob", "labels": {"why": "<b>"}}]},
    "ann": {"next": "editor"},
    "bob": {"edges": [{"to": "editor", "condition": {"output_contains": '"]; x'}}]},
    "editor": {"join": {"mode": "quorum", "quorum_count": 1}},
}


@pytest.fixture
def team(home: Home) -> Key:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    names = ["lead", "ann", "bob", "editor"]
    for name in names:
        home.record("Agent", name, {"model": "m"})
    return home.record("AgentSystem", "team", {"agents": names, "graph": GRAPH})


def test_a_system_is_drawn_with_what_each_agent_waits_for(orloj: Orloj, team: Key) -> None:
    done = orloj("graph", "team")
    assert done.code == 0
    assert "editor  waits for 1" in done.out
    assert "bob  why=<b>" in done.out
    assert "agentsystems/team.yaml:1" in done.out
    value = json.loads(orloj("graph", "team", "--json").out)
    assert [one["name"] for one in value["agents"]] == ["lead", "ann", "bob", "editor"]
    assert {"from": "lead", "to": "ann"}.items() <= value["edges"][0].items()
    assert (value["task"], value["visits"]) == (None, [])


def test_a_task_is_drawn_with_its_turns(orloj: Orloj, home: Home, team: Key) -> None:
    with home.runner(workers=1):
        (task,) = home.submit(team)
        home.wait([task], {"succeeded"})
    value = json.loads(orloj("graph", task[:20], "--json").out)
    assert (value["task"], value["state"]) == (task, "succeeded")
    assert [one["agent"] for one in value["visits"]][:3] == ["lead", "ann", "bob"]
    assert all(one["state"] == "done" and one["duration_us"] > 0 for one in value["visits"])
    assert "✓ lead" in orloj("graph", task).out


def test_what_a_manifest_says_cannot_leave_a_picture(orloj: Orloj, team: Key) -> None:
    picture = orloj("graph", "team", "--format", "svg").out
    texts = [one.text for one in ElementTree.fromstring(picture).iter() if one.text]
    assert "why=<b>" in texts
    mermaid = orloj("graph", "team", "--format", "mermaid").out
    assert '"]; x' not in mermaid
    assert "<b>" not in mermaid.replace("<br/>", "")


def test_a_name_that_nothing_has_is_an_error(orloj: Orloj, team: Key) -> None:
    done = orloj("graph", "nobody")
    assert (done.code, done.out) == (1, "")
    assert "no system and no task is called 'nobody'" in done.err
