"""Work goes through a graph in real processes: beside each other, joined once, never twice.

Workers are really killed, tools and models are really asked over HTTP, people really decide.
"""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received

from runner.contract import settings
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

SEND = {"send": "mail"}
FAN = {
    "lead": {"edges": [{"to": "ann"}, {"to": "bob"}, {"to": "cid"}]},
    "ann": {"next": "editor"},
    "bob": {"next": "editor"},
    "cid": {"next": "editor"},
}
AGENTS = ["lead", "ann", "bob", "cid", "editor"]


class Doors:
    """A tool's server: a call on `/NAME` is answered when that door is open."""

    def __init__(self) -> None:
        self.doors = {name: threading.Event() for name in AGENTS}
        self.server = LocalServer(self._answer)

    def _answer(self, call: Received) -> Answer:
        name = call.path.strip("/").partition("/")[0]
        while not self.doors[name].wait(0.01):
            if self.server.closing.is_set():
                return Answer(503)
        return Answer(200, name.encode())

    def open(self, *names: str) -> None:
        for name in names:
            self.doors[name].set()

    @property
    def calls(self) -> Counter[str]:
        """How often each door was knocked at."""
        return Counter(one.path.strip("/").partition("/")[0] for one in self.server.received)

    @property
    def keys(self) -> set[str]:
        """The idempotency keys of all calls."""
        return {one.headers["Idempotency-Key"] for one in self.server.received}


@pytest.fixture
def doors() -> Iterator[Doors]:
    made = Doors()
    with made.server.running():
        yield made


def team(home: Home, doors: Doors, graph: dict[str, Any], *, idempotent: bool = True) -> Key:
    """Five agents: the middle three call their own door and say what it said."""
    script = {
        name: [{"calls": [{"tool": f"door-{name}"}]}, {"reply": f"{name} {{result.1}}"}]
        for name in ("ann", "bob", "cid")
    }
    script |= {"lead": [{"reply": "go"}], "editor": [{"reply": "{previous}"}]}
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)
    for name in AGENTS:
        tool = {"requires": [SEND], "endpoint": f"{doors.server.url}/{name}"}
        home.record("Tool", f"door-{name}", tool | {"idempotent": idempotent})
        grant = {"name": f"door-{name}", "permissions": [SEND]}
        home.record("Agent", name, {"model": "m", "tools": [grant]})
    # A hand-off narrows: what those in the middle may do and the lead may not, is declared.
    gains = [{"agent": name, "permissions": [SEND]} for name in AGENTS[1:]]
    return home.record(
        "AgentSystem", "team", {"agents": AGENTS, "graph": graph, "gains": gains}
    )


def visits(home: Home, task: str) -> list[tuple[str, str]]:
    query = "SELECT agent, state FROM visit WHERE task_id = ? ORDER BY number"
    return [(row[0], row[1]) for row in home.rows(query, task)]


def output(home: Home, task: str) -> str:
    return str(home.rows("SELECT output FROM task WHERE id = ?", task)[0][0])


def holder(home: Home, task: str) -> int:
    query = "SELECT w.pid FROM task t JOIN worker w ON w.id = t.holder WHERE t.id = ?"
    return int(home.rows(query, task)[0][0])


def test_branches_work_beside_each_other_and_are_joined(home: Home, doors: Doors) -> None:
    key = team(home, doors, FAN)
    with home.runner(workers=1):
        (task,) = home.submit(key)
        home.until(lambda: set(doors.calls) == {"ann", "bob", "cid"})
        doors.open("cid", "bob", "ann")
        home.wait([task], {"succeeded"})
    said = "\n\n".join(f"{name}:\n{name} {name}" for name in ("ann", "bob", "cid"))
    assert output(home, task) == said
    assert visits(home, task) == [(name, "done") for name in AGENTS]


def test_a_worker_killed_in_a_fan_out_repeats_no_branch_and_joins_once(
    home: Home, doors: Doors
) -> None:
    key = team(home, doors, FAN)
    doors.open("ann", "bob")
    with home.runner(workers=1):
        (task,) = home.submit(key)
        home.until(lambda: Counter(visits(home, task))[("ann", "done")] == 1)
        home.until(lambda: Counter(visits(home, task))[("bob", "done")] == 1)
        home.until(lambda: doors.calls["cid"] == 1)
        os.kill(holder(home, task), signal.SIGKILL)
        home.until(lambda: doors.calls["cid"] == 2)
        doors.open("cid")
        home.wait([task], {"succeeded"})
    assert doors.calls == {"ann": 1, "bob": 1, "cid": 2}
    assert len(doors.keys) == 3, "a call that was repeated has the key it had"
    assert visits(home, task) == [(name, "done") for name in AGENTS]
    asked = [one for one in home.entries(task) if one["type"] == "action.executed"]
    assert Counter(one["agent"] for one in asked if one.get("model"))["editor"] == 1


def test_of_two_calls_that_were_cut_off_a_person_says_of_each_what_came_of_it(
    home: Home, doors: Doors
) -> None:
    key = team(home, doors, FAN, idempotent=False)
    doors.open("ann")
    with home.runner(workers=1):
        (task,) = home.submit(key)
        home.until(lambda: ("ann", "done") in visits(home, task))
        home.until(lambda: doors.calls["bob"] == doors.calls["cid"] == 1)
        os.kill(holder(home, task), signal.SIGKILL)
        home.wait([task], {"unknown_outcome"})
        assert home.orloj("task", "resolve", task, "--ran", "--result", "one").returncode == 0
        assert home.state(task) == "unknown_outcome", "the other call is open still"
        assert home.orloj("task", "resolve", task, "--ran", "--result", "two").returncode == 0
        home.wait([task], {"succeeded"})
    assert doors.calls == {"ann": 1, "bob": 1, "cid": 1}
    assert {"bob one", "cid two"} <= set(output(home, task).splitlines()) or {
        "bob two",
        "cid one",
    } <= set(output(home, task).splitlines())


def test_a_task_is_parked_only_when_no_other_agent_is_in_a_call(
    home: Home, doors: Doors
) -> None:
    key = team(home, doors, FAN, idempotent=False)
    agent = {"model": "m", "tools": [{"name": "door-ann", "permissions": [SEND]}]}
    home.record("Agent", "ann", agent | {"governance": {"requireApproval": [SEND]}})
    home.record("Namespace", "default", {"approvals": {"four_eyes": False}})
    me = {"user": settings.person(), "emails": ["pat@example.org"]}
    home.record("Approver", "pat", me)
    doors.open("ann", "bob")
    with home.runner(workers=1):
        (task,) = home.submit(key)
        home.until(lambda: home.rows("SELECT id FROM approval") and doors.calls["cid"] == 1)
        home.until(lambda: ("bob", "done") in visits(home, task))
        assert home.state(task) == "leased"
        doors.open("cid")
        home.wait([task], {"waiting_approval"})
        assert ("cid", "done") in visits(home, task)
        ((request,),) = home.rows("SELECT id FROM approval")
        assert home.orloj("approve", request, "--reason", "seen").returncode == 0
        home.wait([task], {"succeeded"})
    assert doors.calls == {"ann": 1, "bob": 1, "cid": 1}


@pytest.mark.parametrize("policy", ["deadletter", "skip", "continue_partial"])
def test_a_branch_that_fails_ends_the_task_or_is_done_without(
    home: Home, doors: Doors, policy: str
) -> None:
    key = team(home, doors, {**FAN, "editor": {"join": {"on_failure": policy}}})
    home.record("Agent", "ann", {"model": "m", "limits": {"max_steps": 1}, "tools": []})
    doors.open("bob", "cid")
    with home.runner(workers=1):
        (task,) = home.submit(key)
        home.wait([task], {"succeeded", "failed"})
    found = dict(visits(home, task))
    assert found["ann"] == "failed"
    if policy == "deadletter":
        assert (home.state(task), "editor" in found) == ("failed", False)
    else:
        assert ("ann: no result" in output(home, task)) == (policy == "continue_partial")


def test_a_loop_ends_at_the_bound_of_its_task(home: Home, doors: Doors) -> None:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    for name in ("m", "r"):
        home.record("Agent", name, {"model": "m"})
    spec = {"agents": ["m", "r"], "graph": {"m": {"next": "r"}, "r": {"next": "m"}}}
    key = home.record("AgentSystem", "pair", spec)
    with home.runner(workers=1):
        bounded, endless = home.submit(key, flow={"max_turns": 5}) + home.submit(key)
        home.wait([bounded], {"succeeded"})
        home.wait([endless], {"failed"})
    assert [agent for agent, _ in visits(home, bounded)] == ["m", "r", "m", "r", "m"]
    (row,) = home.rows("SELECT error FROM task WHERE id = ?", endless)
    assert "max_turns" in row[0]


class Busy:
    """A model that is busy when it is first asked, and then answers."""

    def __init__(self) -> None:
        self.server = LocalServer(self._answer)

    def _answer(self, _: Received) -> Answer:
        if len(self.server.received) == 2:
            return Answer(503)
        message = {"role": "assistant", "content": "hello"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m"}
        return Answer(200, json.dumps(body | {"choices": [choice], "usage": usage}).encode())


@pytest.mark.parametrize(
    ("retry", "asked"),
    [({"max_attempts": 3}, 3), ({}, 2), ({"max_attempts": 3, "non_retryable": ["503"]}, 2)],
    ids=["again", "once", "named"],
)
def test_a_turn_is_tried_again_by_itself_as_the_task_says(
    home: Home, retry: dict[str, Any], asked: int
) -> None:
    busy = Busy()
    with busy.server.running(), home.runner(workers=1):
        endpoint = {"provider": "openai-compatible", "default_model": "m"}
        home.record("ModelEndpoint", "default", endpoint | {"base_url": busy.server.url})
        for name in ("m", "r"):
            home.record("Agent", name, {"model": "m"})
        key = home.record("AgentSystem", "pair", {"agents": ["m", "r"]})
        (task,) = home.submit(key, flow={"message_retry": retry})
        home.wait([task], {"succeeded", "dead"})
    assert len(busy.server.received) == asked
    assert (home.state(task) == "succeeded") == (asked == 3)
    again = home.rows("SELECT attempt FROM visit WHERE task_id = ? AND number = 2", task)
    assert again == [(2 if asked == 3 else 1,)]


def reviewed(home: Home, **more: Any) -> Key:
    """A writer whose output a person reads, and an editor who says what came."""
    home.record("Namespace", "default", {"approvals": {"four_eyes": False}})
    me = {"user": settings.person(), "emails": ["pat@example.org"]}
    home.record("Approver", "pat", me)
    script = {"writer": [{"reply": "draft"}, {"reply": "better"}, {"reply": "best"}]}
    script["editor"] = [{"reply": "got {previous}"}]
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)
    for name in ("writer", "editor"):
        home.record("Agent", name, {"model": "m"})
    graph = {"writer": {"next": "editor", "review": {"checkpoint_id": "sign", **more}}}
    spec = {"agents": ["writer", "editor"], "graph": graph}
    return home.record("AgentSystem", "desk", spec)


def decide(home: Home, task: str, *how: str) -> str:
    """Decide on the open review of a task; what the command says when it is refused."""
    home.wait([task], {"waiting_approval"})
    query = "SELECT id FROM approval WHERE task_id = ? AND state = 'pending'"
    ((request,),) = home.rows(query, task)
    verb, *rest = how
    done = home.orloj(verb, request, *rest)
    return done.stderr if done.returncode else ""


def test_an_output_goes_on_when_a_person_says_so_and_changes_when_they_want(home: Home) -> None:
    key = reviewed(home, max_review_cycles=1)
    with home.runner(workers=1):
        (task,) = home.submit(key)
        home.wait([task], {"waiting_approval"})
        (shown,) = home.rows("SELECT request FROM approval")
        assert b'"output":"draft"' in bytes(shown[0])
        assert decide(home, task, "deny", "--changes", "--reason", "shorter") == ""
        home.until(lambda: len(home.rows("SELECT id FROM approval")) == 2)
        again = decide(home, task, "deny", "--changes", "--reason", "still too long")
        assert "takes no more changes" in again
        assert decide(home, task, "approve", "--reason", "fine") == ""
        home.wait([task], {"succeeded"})
    assert output(home, task) == "got better"
    decided = [one for one in home.entries(task) if one["type"] == "action.decided"]
    reviews = [one["decision"] for one in decided if one.get("tool") == "orloj.review"]
    assert reviews == ["ask", "deny", "ask", "allow"]
    assert next(one["rule"] for one in decided if one.get("tool")) == "agentsystems/desk.yaml:1"


def test_an_output_that_a_person_denies_fails_its_turn(home: Home) -> None:
    key = reviewed(home)
    with home.runner(workers=1):
        (task,) = home.submit(key)
        assert decide(home, task, "deny", "--reason", "wrong") == ""
        home.wait([task], {"failed"})
    assert visits(home, task) == [("writer", "failed")]
    assert "wrong" in home.rows("SELECT error FROM task WHERE id = ?", task)[0][0]


def test_what_a_task_says_in_the_end_is_reviewed_too(home: Home) -> None:
    reviewed(home)
    spec = {"agents": ["editor", "writer"], "completion_review": {"checkpoint_id": "end"}}
    key = home.record("AgentSystem", "whole", spec)
    with home.runner(workers=1):
        (task,) = home.submit(key)
        assert decide(home, task, "deny", "--changes", "--reason", "better") == ""
        home.until(lambda: len(home.rows("SELECT id FROM approval")) == 2)
        assert decide(home, task, "approve", "--reason", "fine") == ""
        home.wait([task], {"succeeded"})
    assert output(home, task) == "better"


def test_no_model_can_ask_for_a_review(home: Home) -> None:
    key = reviewed(home)
    script = {"writer": [{"calls": [{"tool": "orloj.review"}]}, {"reply": "{result.1}"}]}
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)
    with home.runner(workers=1):
        (task,) = home.submit(key)
        home.wait([task], {"waiting_approval"})
        (shown,) = home.rows("SELECT request FROM approval")
    assert b"not granted the tool orloj.review" in bytes(shown[0])
