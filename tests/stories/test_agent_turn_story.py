"""What a turn must hold is held to by a real runner, and the log and the journal tell of it."""

import json
import os
import signal
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received
from model_server import ModelServer, completion

from runner.contract import audit_check
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

NEEDS = {"read": "papers"}
CALL = {"calls": [{"tool": "search", "arguments": {"q": "a"}}]}


def clerk(home: Home, url: str, script: list[dict[str, Any]], **execution: Any) -> Key:
    """An agent with a scripted model and one tool behind an address."""
    spec = {"provider": "mock", "default_model": "m", "script": {"clerk": script}}
    home.record("ModelEndpoint", "default", spec)
    return agent(home, url, execution)


def agent(home: Home, url: str, execution: dict[str, Any]) -> Key:
    spec = {"type": "http", "endpoint": url, "requires": [NEEDS], "idempotent": True}
    home.record("Tool", "search", spec)
    grant = [{"name": "search", "permissions": [NEEDS]}]
    return home.record("Agent", "clerk", {"model": "m", "tools": grant, "execution": execution})


def ran(home: Home, subject: Key) -> tuple[str, str | None, str | None]:
    """How a task of the agent ends: its state, output and error."""
    with home.runner(workers=1):
        (task,) = home.submit(subject)
        home.wait([task], {"succeeded", "failed"})
    state, output, error = home.rows("SELECT state, output, error FROM task")[0]
    return state, output, error


def told(home: Home) -> list[tuple[str, str, str]]:
    """The entries about the turn itself: type, outcome and line."""
    return [
        (entry["type"], entry["outcome"], entry["rule"])
        for entry in home.entries()
        if entry["type"].startswith("turn.")
    ]


LINE = "agents/clerk.yaml:1"
CONTRACT = {"profile": "contract", "tool_sequence": ["search"]}


def test_a_contract_is_repaired_and_a_call_is_made_once(home: Home) -> None:
    with LocalServer(lambda _: Answer(200, b"3 papers")).running() as server:
        script = [{"reply": "early"}, CALL, CALL, {"reply": "{result.2}"}]
        policy = {"duplicate_tool_call_policy": "short_circuit"}
        state, output, _ = ran(home, clerk(home, server.url, script, **CONTRACT, **policy))
    assert len(server.received) == 1
    assert (state, (output or "").splitlines()[-1]) == ("succeeded", "3 papers")
    assert "was not made again" in (output or "")
    assert told(home) == [
        ("turn.repair", "told", LINE),
        ("turn.repeated", "short_circuit", LINE),
    ]
    steps = home.rows("SELECT kind, name, phase FROM step ORDER BY number")
    assert [tuple(step) for step in steps if step[0] == "turn"] == [
        ("turn", "repair", "done"),
        ("turn", "repeated", "done"),
    ]
    lines = [line.split("  ")[3:6] for line in home.orloj("logs").stdout.splitlines()]
    assert ["turn", "repair"] in [line[:2] for line in lines]
    assert ["search", "repeated", "answered as in step 4"] in lines
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


def test_a_turn_goes_on_after_its_worker_was_killed_without_being_told_again(
    home: Home,
) -> None:
    received = 0

    def killing(_: Received) -> Answer:
        nonlocal received
        received += 1
        if received == 1:
            os.kill(home.rows("SELECT pid FROM worker")[0][0], signal.SIGKILL)
        return Answer(200, b"3 papers")

    script = [{"reply": "early"}, CALL, CALL, {"reply": "done"}]
    with LocalServer(killing).running() as server:
        policy = {"duplicate_tool_call_policy": "deny"}
        state, output, _ = ran(home, clerk(home, server.url, script, **CONTRACT, **policy))
    assert (state, output, received) == ("succeeded", "done", 2)
    assert [entry["type"] for entry in home.entries() if entry["type"] == "task.released"]
    assert [name for name, _, _ in told(home)] == ["turn.repair", "turn.repeated"]


@pytest.mark.parametrize(
    ("policy", "state"), [("non_retryable_error", "failed"), ("observe", "succeeded")]
)
def test_a_tool_that_fails_meets_no_contract(home: Home, policy: str, state: str) -> None:
    script = [CALL, *[{"reply": "all done"}] * 3]
    with LocalServer(lambda _: Answer(500)).running() as server:
        subject = clerk(home, server.url, script, **CONTRACT, on_contract_violation=policy)
        found = ran(home, subject)
    outcome = "failed" if state == "failed" else "observed"
    assert told(home)[-1] == ("turn.violated", outcome, LINE)
    assert found[0] == state
    if state == "failed":
        assert "tools that did not succeed: search" in (found[2] or "")


def test_a_model_is_asked_for_the_shape_and_told_what_does_not_fit(home: Home) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    answers = [completion("three"), completion('{ "n": "3" }'), completion('{ "n": 3 }')]
    with ModelServer(*answers).running() as server:
        home.record(
            "ModelEndpoint",
            "default",
            {
                "provider": "openai-compatible",
                "base_url": server.url + "/v1",
                "default_model": "m",
            },
        )
        subject = agent(home, "http://127.0.0.1:9/", {"output_schema": schema})
        state, output, error = ran(home, subject)
    assert (state, output, error) == ("succeeded", '{"n":3}', None)
    first, _, last = server.questions
    assert first["response_format"]["json_schema"]["schema"] == schema
    said = last["messages"][-1]
    assert (said["role"], said["content"].count("$.n: must be of type integer")) == (
        "user",
        1,
    )
    assert [name for name, _, _ in told(home)] == ["turn.repair", "turn.repair"]
    assert json.loads(home.rows("SELECT result FROM step WHERE kind = 'turn'")[0][0])["told"]
