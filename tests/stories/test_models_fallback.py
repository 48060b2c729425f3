"""Another model is asked only when the one before it is busy or gone, and by the same rules.

Every question, to whichever endpoint, is decided, reserved and logged for itself; no key of
any endpoint stands anywhere but in its own requests.
"""

import json
import os
import signal
from dataclasses import replace
from typing import Any

import pytest
from home import Home
from model_server import ModelServer, completion, failure
from model_servers import AnthropicServer, OllamaServer, chat, message, message_streamed
from sqlmodel import SQLModel

from runner.contract import audit_check, seal, tables
from runner.contract.kinds import Key

pytestmark = pytest.mark.story
ONCE = pytest.mark.parametrize("database_url", [""], ids=["sqlite"])

OPENAI_KEY = "sk-canary-openai-7731"
ANTHROPIC_KEY = "sk-canary-anthropic-2286"
RETRY = {"maxAttempts": 2, "backoff": "10ms"}


def sealed(home: Home, name: str, value: str) -> dict[str, str]:
    """Record a Secret as an apply would; what names it."""
    digest, ciphertext = seal.sealer(home.folder).seal(value)
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sealed_secret VALUES (?, ?)", (digest, ciphertext)
        )
    home.record("Secret", name, {"stringData": {"value": digest}})
    return {"secretRef": name}


def declared(home: Home, urls: tuple[str, str, str], **agent: Any) -> Key:
    """An agent that asks OpenAI, then Anthropic, then Ollama."""
    first, second, third = urls
    specs: dict[str, dict[str, Any]] = {
        "first": {
            "provider": "openai-compatible",
            "base_url": first + "/v1",
            "default_model": "one",
            "auth": sealed(home, "openai-key", OPENAI_KEY),
            "fallback_model_refs": ["third", "first", "second"],
        },
        "second": {
            "provider": "anthropic",
            "base_url": second,
            "default_model": "two",
            "auth": sealed(home, "anthropic-key", ANTHROPIC_KEY),
        },
        "third": {"provider": "ollama", "base_url": third, "default_model": "three"},
    }
    for name, spec in specs.items():
        home.record("ModelEndpoint", name, spec)
    refs = {"model_ref": "first", "fallback_model_refs": ["second"]}
    return home.record("Agent", "clerk", refs | agent)


def asked(home: Home, task: str) -> list[tuple[Any, ...]]:
    """What the log says of the questions of a task: their end and the model."""
    ends = ("decided", "failed", "executed")
    return [
        (entry["type"].rpartition(".")[2], entry["model"])
        for entry in home.entries(task)
        if entry["type"].rpartition(".")[2] in ends and entry.get("model")
    ]


def everything_stored(home: Home) -> str:
    assert tables.TaskRow.__tablename__ == "task"  # Importing the module fills the metadata.
    found = [(home.folder / "runner.log").read_text()]
    for table in SQLModel.metadata.tables:
        for row in home.rows(f"SELECT * FROM {table}"):
            found += [
                value.decode("latin-1") if isinstance(value, bytes) else str(value)
                for value in row
            ]
    return "\n".join(found)


def test_the_next_endpoint_is_asked_when_one_is_busy(home: Home) -> None:
    busy, broken = failure(429, f"busy {OPENAI_KEY}"), failure(500, ANTHROPIC_KEY)
    with (
        ModelServer(busy).running() as first,
        AnthropicServer(broken).running() as second,
        OllamaServer(chat("from the third")).running() as third,
    ):
        agent = declared(home, (first.url, second.url, third.url))
        with home.runner(workers=1):
            (task,) = home.submit(agent, input={"ticket": "7"})
            home.wait([task], {"succeeded"})
    assert home.rows("SELECT output FROM task") == [("from the third",)]
    assert asked(home, task) == [
        *[("decided", "one"), ("failed", "one")],
        *[("decided", "two"), ("failed", "two")],
        *[("decided", "three"), ("executed", "three")],
    ]
    rules = [
        (entry["decision"], entry["reason"])
        for entry in home.entries(task)
        if entry["type"].endswith("decided")
    ]
    assert rules[1:] == [("allow", "a fallback of the agent's own model")] * 2
    # One step, whoever answered it: a task that goes on finds it done.
    assert home.rows("SELECT number, name, phase FROM step") == [(1, "third", "done")]
    assert second.received[0].headers["X-Api-Key"] == ANTHROPIC_KEY
    for server in (second, third):
        assert OPENAI_KEY not in repr(server.received)
    everywhere = everything_stored(home)
    assert OPENAI_KEY not in everywhere
    assert ANTHROPIC_KEY not in everywhere
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


@ONCE
def test_a_mistake_is_not_taken_elsewhere(home: Home) -> None:
    with (
        ModelServer(failure(401, "no such key")).running() as first,
        AnthropicServer(message("never")).running() as second,
    ):
        agent = declared(home, (first.url, second.url, second.url))
        with home.runner(workers=1):
            (task,) = home.submit(agent, retry=RETRY)
            home.wait([task], {"failed"})
    assert second.received == []
    ((error,),) = home.rows("SELECT error FROM task")
    assert error == "the model endpoint answered 401: no such key"


@ONCE
def test_when_nobody_answers_the_task_is_tried_again_and_says_all_reasons(home: Home) -> None:
    busy = failure(503, "no", **{"Retry-After": "0"})
    answers = (failure(429, "busy"), completion("the second time"))
    with (
        ModelServer(*answers).running() as first,
        AnthropicServer(failure(401, "wrong key")).running() as second,
        OllamaServer(busy).running() as third,
    ):
        agent = declared(home, (first.url, second.url, third.url))
        with home.runner(workers=1):
            (task,) = home.submit(agent, retry=RETRY)
            home.wait([task], {"succeeded"})
    assert home.rows("SELECT attempt, output FROM task") == [(2, "the second time")]
    assert len(first.received) == 2
    assert (len(second.received), len(third.received)) == (1, 1)


def test_a_policy_holds_for_those_that_are_fallen_back_on(home: Home) -> None:
    with (
        ModelServer(failure(429)).running() as first,
        AnthropicServer(message("never")).running() as second,
        OllamaServer(chat("from the third")).running() as third,
    ):
        agent = declared(home, (first.url, second.url, third.url))
        policy = {"apply_mode": "global", "allowed_models": ["one", "three"]}
        home.record("AgentPolicy", "few", policy)
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            home.wait([task], {"succeeded"})
    assert second.received == []
    decisions = [
        (entry["model"], entry["decision"])
        for entry in home.entries(task)
        if entry["type"].endswith("decided")
    ]
    assert decisions == [("one", "allow"), ("two", "deny"), ("three", "allow")]


@ONCE
def test_a_worker_killed_while_a_fallback_answers_leaves_one_step_and_no_free_question(
    home: Home,
) -> None:
    hanging = replace(message("never"), stall_after=0)
    with (
        ModelServer(failure(429), completion("the second time")).running() as first,
        AnthropicServer(hanging).running() as second,
    ):
        agent = declared(
            home,
            (first.url, second.url, second.url),
            governance={"maxTokensPerRun": 100_000},
        )
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            home.until(lambda: second.received)
            query = "SELECT w.pid FROM task t JOIN worker w ON w.id = t.holder WHERE t.id = ?"
            ((pid,),) = home.rows(query, task)
            os.kill(pid, signal.SIGKILL)
            home.wait([task], {"succeeded"})
    assert home.rows("SELECT number, name, phase FROM step") == [(1, "first", "done")]
    settled = [
        entry["outcome"] for entry in home.entries(task) if entry["type"].endswith("settled")
    ]
    # Refused: nothing. Killed: what was set aside, since it may have been worked on. Answered.
    assert settled == ["nothing", "estimate", "usage"]
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


def test_a_fallback_is_reserved_and_charged_at_its_own_price(home: Home) -> None:
    with (
        ModelServer(failure(429)).running() as first,
        AnthropicServer(message_streamed("hello", tokens=(100, 10))).running() as second,
    ):
        agent = declared(
            home, (first.url, second.url, second.url), governance={"maxCostPerDay": 1}
        )
        endpoints = [("first", 1), ("second", 3)]
        for name, price in endpoints:
            ((body,),) = home.rows(
                "SELECT body FROM resource WHERE kind = 'ModelEndpoint' AND name = ?", name
            )
            spec = json.loads(body)["spec"]
            spec["prices"] = {"*": {"input": price, "output": price}}
            spec["stream"] = True
            home.record("ModelEndpoint", name, spec)
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            home.wait([task], {"succeeded"})
    settled = [
        (entry["outcome"], entry["charges"][0][2])
        for entry in home.entries(task)
        if entry["type"].endswith("settled")
    ]
    # Nobody worked on the first question: it is given back. The second cost 110 tokens at 3.
    assert settled == [("nothing", 0), ("usage", 330)]
