"""Under a real runner a memory is shared by its workers, logged, and written to once."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from home import Home
from local_server import LocalServer
from memories import ALL
from model_server import said

from runner.contract.kinds import Key
from runner.contract.memory_file import KEPT, MemoryFile

CANARY = "canary-person-8812"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


def agent(home: Home, name: str, *calls: dict[str, Any], **fields: Any) -> Key:
    """An agent that makes these calls, one after the other, and says what the last one said."""
    turns = [{"calls": [call]} for call in calls]
    script = {name: [*turns, {"reply": f"{{result.{len(calls)}}}"}]}
    prices = {"m": {"input": 0, "output": 0}}
    model = {"provider": "mock", "default_model": "m", "script": script, "prices": prices}
    home.record("ModelEndpoint", name, model)
    use = {"ref": "notes", "allow": ALL}
    return home.record("Agent", name, {"model_ref": name, "memory": use, **fields}, line=7)


def call(operation: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": f"memory.{operation}", "arguments": arguments}


def said_by(home: Home, task: str) -> Any:
    return json.loads(home.rows("SELECT output FROM task WHERE id = ?", task)[0][0])


def test_every_worker_of_the_host_finds_what_one_of_them_kept(home: Home) -> None:
    home.record("Memory", "notes", {})
    writer = agent(home, "writer", call("write", key="k", value="v"))
    reader = agent(home, "reader", call("read", key="k"))
    with home.runner(workers=2, slots=1):
        home.wait(home.submit(writer), {"succeeded"})
        tasks = home.submit(reader, 6)
        home.wait(tasks, {"succeeded"})
        assert [said_by(home, task)["value"] for task in tasks] == ["v"] * 6
    with home.runner(workers=1):  # In memory: it lives as long as the runner does.
        (again,) = home.submit(reader)
        home.wait([again], {"succeeded"})
    assert said_by(home, again) == {"found": False, "key": "k"}


def test_a_call_is_in_the_log_by_its_line_and_what_it_said_is_not(home: Home) -> None:
    home.record("Memory", "notes", {"provider": "sqlite"})
    writer = agent(
        home, "writer", call("write", key=CANARY, value=CANARY), call("search", query=CANARY)
    )
    with home.runner(workers=1):
        (task,) = home.submit(writer)
        home.wait([task], {"succeeded"})
    entries = home.entries(task)
    decided = [one for one in entries if one["type"] == "action.decided" and one.get("tool")]
    assert [(one["tool"], one["permission"], one["rule"]) for one in decided] == [
        ("memory.write", "write:memory/notes", "agents/writer.yaml:7"),
        ("memory.search", "read:memory/notes", "agents/writer.yaml:7"),
    ]
    assert CANARY not in json.dumps(entries)
    assert said_by(home, task)["count"] == 1
    assert MemoryFile(home.folder / "memory" / KEPT).get("default/notes", CANARY)


def test_a_runner_killed_between_write_and_result_writes_once(home: Home) -> None:
    """Both files are held, so that the write comes about and its result does not."""
    home.record("Memory", "notes", {"provider": "sqlite"})
    file = MemoryFile(home.folder / "memory" / KEPT)
    first = agent(home, "first", call("write", key="other", value="v"))
    writer = agent(home, "writer", call("write", key="k", value="mine"), call("read", key="k"))
    with home.runner(workers=1) as runner:
        home.wait(home.submit(first), {"succeeded"})
        with closing(sqlite3.connect(file.path, isolation_level=None)) as memory:
            memory.execute("BEGIN IMMEDIATE")
            (task,) = home.submit(writer)
            begun = "SELECT 1 FROM step WHERE task_id = ? AND kind = 'tool'"
            home.until(lambda: home.rows(begun, task))
            with home.database.write():
                memory.execute("ROLLBACK")
                home.until(lambda: file.get("default/notes", "k"))
                runner.kill()
                runner.wait()
        assert home.rows("SELECT phase FROM step WHERE task_id = ? AND number = 2", task) == [
            ("begun",)
        ]
        with closing(sqlite3.connect(file.path)) as memory:
            memory.execute("UPDATE entry SET value = 'theirs' WHERE key = 'k'")
            memory.commit()
    with home.runner(workers=1):
        home.wait([task], {"succeeded"})
    assert said_by(home, task) == {"found": True, "key": "k", "value": "theirs"}
    assert [one["type"] for one in home.entries(task)].count("action.executed") >= 2


def test_tokens_of_an_endpoint_that_embeds_stand_in_the_log(home: Home) -> None:
    body = {"data": [{"index": 0, "embedding": [1.0, 2.0]}], "usage": {"prompt_tokens": 41}}
    with LocalServer(lambda _: said(body)).running() as server:
        endpoint = {
            "provider": "openai-compatible",
            "base_url": f"{server.url}/v1",
            "default_model": "small",
        }
        home.record("ModelEndpoint", "embeddings", endpoint)
        home.record("Memory", "notes", {"embedding_model": "embeddings"})
        writer = agent(home, "writer", call("write", key="k", value="v"))
        with home.runner(workers=1):
            (task,) = home.submit(writer)
            home.wait([task], {"succeeded"})
    executed = [
        one
        for one in home.entries(task)
        if one["type"] == "action.executed" and one.get("tool") == "memory.write"
    ]
    assert [one["tokens_in"] for one in executed] == [41]
    assert home.rows("SELECT tokens_in FROM step WHERE task_id = ? AND number = 2", task) == [
        (41,)
    ]


def embedding(home: Home, server: LocalServer, **governance: Any) -> str:
    """The task of an agent that writes to a memory whose model is asked at a server."""
    endpoint = {
        "provider": "openai-compatible",
        "base_url": f"{server.url}/v1",
        "default_model": "small",
        "prices": {"small": {"input": 1_000_000, "output": 0}},
    }
    home.record("ModelEndpoint", "embeddings", endpoint)
    home.record("Memory", "notes", {"embedding_model": "embeddings"})
    writer = agent(
        home, "writer", call("write", key="k", value="v" * 40), governance=governance
    )
    (task,) = home.submit(writer)
    return task


def vectors(tokens: int) -> Any:
    body = {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": tokens}}
    return lambda _: said(body)


def test_tokens_that_embed_are_set_aside_before_and_settled_as_used(home: Home) -> None:
    with LocalServer(vectors(9)).running() as server, home.runner(workers=1):
        task = embedding(home, server, maxTokensPerRun=10_000)
        home.wait([task], {"succeeded"})
    of_the_call = [one for one in home.entries(task) if one.get("step") == 2]
    reserved, settled = (
        [one["charges"][0][2] for one in of_the_call if one["type"] == type]
        for type in ("tokens.reserved", "tokens.settled")
    )
    assert (reserved, settled) == ([56], [9])


def test_an_embedding_that_never_fits_its_limit_is_not_asked(home: Home) -> None:
    with LocalServer(vectors(9)).running() as server, home.runner(workers=1):
        # The model's own questions take 20 tokens: what is left is less than the text.
        task = embedding(home, server, maxTokensPerRun=50)
        home.wait([task], {"succeeded", "failed"})
        assert not server.received
    denied = [one for one in home.entries(task) if one.get("decision") == "deny"]
    assert "waiting does not help" in denied[0]["reason"]


def test_an_embedding_costs_what_its_own_model_costs(home: Home) -> None:
    with LocalServer(vectors(9)).running() as server, home.runner(workers=1):
        task = embedding(home, server, maxCostPerDay=1_000)
        home.wait([task], {"succeeded"})
    settled = [
        one["charges"][0][2]
        for one in home.entries(task)
        if one["type"] == "tokens.settled" and one.get("step") == 2
    ]
    assert settled == [9_000_000]
