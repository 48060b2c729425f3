"""An agent works with a real endpoint and a real tool, and its secrets are found nowhere.

The runner, its workers, the endpoint and the tool's server are processes and sockets of
their own; the endpoint and the tool even say the secrets back.
"""

import base64
import json
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received
from model_server import ModelServer, completion, failure, said
from sqlmodel import SQLModel

from runner.contract import audit_check, seal, tables
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

MODEL_KEY = "sk-canary-model-4410"
TOOL_KEY = "canary:tool-9917"
READ = {"read": "tickets"}


def sealed(home: Home, name: str, value: str) -> None:
    """Record a Secret as an apply would."""
    digest, ciphertext = seal.sealer(home.folder).seal(value)
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sealed_secret VALUES (?, ?)", (digest, ciphertext)
        )
    home.record("Secret", name, {"stringData": {"value": digest}})


def declared(home: Home, model: str, tool: str, **agent: Any) -> Key:
    """An agent with an endpoint, a tool, and a secret for each."""
    sealed(home, "model-key", MODEL_KEY)
    sealed(home, "tool-key", TOOL_KEY)
    endpoint = {"provider": "openai-compatible", "base_url": model + "/v1"}
    home.record(
        "ModelEndpoint",
        "default",
        {**endpoint, "default_model": "m", "auth": {"secretRef": "model-key"}},
    )
    home.record(
        "Tool",
        "tickets",
        {
            "type": "http",
            "endpoint": tool + "/tickets",
            "requires": [READ],
            "auth": {"secretRef": "tool-key"},
        },
    )
    grant = {"tools": [{"name": "tickets", "permissions": [READ]}]}
    return home.record("Agent", "clerk", {"model": "m", **grant, **agent})


def everything_stored(home: Home) -> str:
    """Every value of every row, the manifest sets among them."""
    found = []
    assert tables.TaskRow.__tablename__ == "task"  # Importing the module fills the metadata.
    for table in SQLModel.metadata.tables:
        for row in home.rows(f"SELECT * FROM {table}"):
            found += [
                value.decode("latin-1") if isinstance(value, bytes) else str(value)
                for value in row
            ]
    return "\n".join(found)


def echoing(request: Received) -> Answer:
    return said({"you sent": request.headers, "ticket": 7})


def repeating_its_key(request: Received) -> Answer:
    return completion(f"Done. My key is {request.headers['authorization']}.")


def test_a_tool_is_called_for_the_model_and_no_secret_is_kept(home: Home) -> None:
    call = {"name": "tickets", "arguments": json.dumps({"note": MODEL_KEY})}
    with (
        ModelServer(completion(None, [call]), repeating_its_key).running() as model,
        LocalServer(echoing).running() as tool,
    ):
        agent = declared(home, model.url, tool.url)
        with home.runner(workers=1):
            (task,) = home.submit(agent, input={"ticket": "7"})
            home.wait([task], {"succeeded"})
    assert model.received[0].headers["authorization"] == f"Bearer {MODEL_KEY}"
    assert tool.received[0].headers["Authorization"] == f"Bearer {TOOL_KEY}"
    assert tool.received[0].headers["Idempotency-Key"] == f"{task}:2"
    told = model.questions[1]["messages"][-1]["content"]
    assert '"ticket": 7' in told
    assert TOOL_KEY not in told, "the model was told the tool's secret"
    assert home.rows("SELECT output FROM task") == [(f"Done. My key is Bearer {seal.MASK}.",)]
    everywhere = everything_stored(home) + (home.folder / "runner.log").read_text()
    for value in (MODEL_KEY, TOOL_KEY):
        assert value not in everywhere
        assert base64.b64encode(value.encode()).decode() not in everywhere


def test_tokens_are_counted_once_per_step_and_per_task(home: Home) -> None:
    call = {"name": "tickets", "arguments": "{}"}
    with (
        ModelServer(
            completion(None, [call], (100, 10)), completion("ok", None, (200, 20))
        ).running() as model,
        LocalServer(echoing).running() as tool,
    ):
        agent = declared(home, model.url, tool.url)
        with home.runner(workers=1):
            tasks = home.submit(agent)
            home.wait(tasks, {"succeeded"})
    assert home.rows("SELECT tokens_in, tokens_out FROM step ORDER BY number") == [
        (100, 10),
        (0, 0),
        (200, 20),
    ]
    assert home.rows("SELECT tokens_in, tokens_out FROM task") == [(300, 30)]


def test_a_busy_endpoint_is_asked_again_and_a_wrong_key_is_not(home: Home) -> None:
    with (
        ModelServer(failure(429), failure(500), completion("third time")).running() as model,
        LocalServer(echoing).running() as tool,
    ):
        agent = declared(home, model.url, tool.url)
        retry = {"maxAttempts": 3, "backoff": "10ms"}
        with home.runner(workers=1):
            (task,) = home.submit(agent, retry=retry)
            home.wait([task], {"succeeded"})
    assert home.rows("SELECT attempt, output FROM task") == [(3, "third time")]
    with (
        ModelServer(failure(401, f"no such key {MODEL_KEY}")).running() as model,
        home.runner(workers=1),
    ):
        endpoint = {"provider": "openai-compatible", "base_url": model.url + "/v1"}
        home.record(
            "ModelEndpoint",
            "default",
            {**endpoint, "default_model": "m", "auth": {"secretRef": "model-key"}},
        )
        (task,) = home.submit(agent, retry=retry)
        home.wait([task], {"failed"})
    assert len(model.received) == 1
    assert home.rows("SELECT attempt, error FROM task WHERE id = ?", task) == [
        (1, f"the model endpoint answered 401: no such key {seal.MASK}")
    ]


HALF = "\ud83d"
HOSTILE = [
    completion(
        f"{HALF} half a pair, \x00 a zero byte, \u202e an override", tokens=(10**30, -5)
    ),
    said({"choices": [{"message": {"content": [1]}}]}),
    completion(None, [{"name": "tickets", "arguments": '{"x": NaN}'}]),
    completion(None, [{"name": "tickets", "arguments": json.dumps({"x": HALF})}]),
    completion(None, [{"name": f"{HALF}\x00", "arguments": "{}"}]),
    completion(None, [{"name": "tickets", "arguments": '{"x":' * 40 + "1" + "}" * 40}]),
]


def test_no_answer_of_a_model_takes_the_runner_down(home: Home) -> None:
    with (
        ModelServer(*HOSTILE, completion("well")).running() as model,
        LocalServer(echoing).running() as tool,
    ):
        agent = declared(home, model.url, tool.url)
        with home.runner(workers=1, slots=1) as runner:
            tasks = home.submit(agent, len(HOSTILE))
            home.wait(tasks, {"succeeded", "failed"})
            assert runner.poll() is None
    assert {row[0] for row in home.rows("SELECT crashes FROM task")} == {0}
    assert {row[0] for row in home.rows("SELECT outcome FROM attempt")} <= {
        "succeeded",
        "failed",
    }
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


def test_a_runner_with_another_key_does_not_start_beside_the_others(
    home: Home, postgresql_url: str
) -> None:
    beside = Home(home.folder.parent / "beside", postgresql_url)
    with beside.database.write() as connection:
        sealed = seal.sealer(home.folder).seal("hunter2")
        connection.exec_driver_sql("INSERT INTO sealed_secret VALUES (?, ?)", sealed)
    with beside.runner() as runner:
        assert runner.wait(timeout=30) == 1
    said = (beside.folder / "runner.log").read_text(encoding="utf-8")
    assert "copy secret.key from the home of another host" in said
    beside.close()


@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
def test_a_secret_sealed_by_another_home_stops_only_who_needs_it(home: Home) -> None:
    with ModelServer(failure(401, "who are you")).running() as model:
        agent = declared(home, model.url, "http://127.0.0.1:1")
        (home.folder / seal.KEY_FILE).unlink()
        home.record("ModelEndpoint", "own", {"provider": "mock", "default_model": "m"})
        other = home.record("Agent", "other", {"model_ref": "own"})
        with home.runner(workers=1):
            (needs,), (free,) = home.submit(agent), home.submit(other)
            home.wait([free], {"succeeded"})
            home.wait([needs], {"failed"})
