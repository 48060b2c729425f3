"""An agent works with a tool and answers in a shape, whichever provider its model is of."""

import json
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received
from model_server import ModelServer, completion, said
from model_servers import (
    AnthropicServer,
    AzureServer,
    OllamaServer,
    chat,
    chat_streamed,
    message,
    message_streamed,
    streamed,
)

from runner.contract import audit_check, seal

pytestmark = pytest.mark.story
KEY = "sk-canary-story-3391"
READ = {"read": "tickets"}
CALL = {"name": "tickets", "arguments": {"id": 7}}
GRADE = {"grade": 3}
SHAPE = {
    "type": "object",
    "properties": {"grade": {"type": "integer"}},
    "required": ["grade"],
    "additionalProperties": False,
}


def tickets(request: Received) -> Answer:
    return said({"ticket": json.loads(request.body), "you sent": request.headers})


def as_text(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "arguments": json.dumps(call["arguments"])}


ANSWERED = {"name": "final__answer", "arguments": GRADE}
PROVIDERS: dict[str, tuple[Any, Any, Any]] = {
    "openai-compatible": (ModelServer, completion(None, [as_text(CALL)]), None),
    "azure": (AzureServer, streamed(None, [CALL]), streamed(json.dumps(GRADE))),
    "anthropic": (AnthropicServer, message(None, [CALL]), message(None, [ANSWERED])),
    "anthropic, streamed": (
        AnthropicServer,
        message_streamed("I look.", [CALL]),
        message_streamed("Here.", [ANSWERED]),
    ),
    "ollama": (OllamaServer, chat(None, [CALL]), chat(json.dumps(GRADE))),
    "ollama, streamed": (
        OllamaServer,
        chat_streamed(None, [CALL]),
        chat_streamed(json.dumps(GRADE)),
    ),
}


@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
def test_each_provider_calls_the_tool_and_gives_the_answer(home: Home) -> None:
    digest, ciphertext = seal.sealer(home.folder).seal(KEY)
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sealed_secret VALUES (?, ?)", (digest, ciphertext)
        )
    home.record("Secret", "key", {"stringData": {"value": digest}})
    with LocalServer(tickets).running() as tool, home.runner(workers=1):
        http = {"type": "http", "endpoint": tool.url, "requires": [READ]}
        home.record("Tool", "tickets", http)
        for number, (name, (kind, first, last)) in enumerate(PROVIDERS.items()):
            provider, _, how = name.partition(", ")
            answer = completion(json.dumps(GRADE)) if last is None else last
            with kind(first, answer).running() as model:
                url = model.url + ("/v1" if provider == "openai-compatible" else "")
                spec = {"provider": provider, "base_url": url, "default_model": "m"}
                spec |= {"auth": {"secretRef": "key"}}
                spec |= {"stream": True} if how or provider == "azure" else {}
                home.record("ModelEndpoint", f"m{number}", spec)
                grant = {"name": "tickets", "permissions": [READ]}
                agent = home.record(
                    "Agent",
                    f"a{number}",
                    {
                        "model_ref": f"m{number}",
                        "tools": [grant],
                        "execution": {"output_schema": SHAPE},
                    },
                )
                (task,) = home.submit(agent)
                home.wait([task], {"succeeded"})
            ((output, tokens_in),) = home.rows(
                "SELECT output, tokens_in FROM task WHERE id = ?", task
            )
            assert json.loads(output) == GRADE, name
            assert tokens_in == 22, name
            assert '"id": 7' in json.dumps(model.questions[1]).replace("\\", ""), name
    assert len(tool.received) == len(PROVIDERS)
    assert KEY not in repr(tool.received)
    assert KEY not in (home.folder / "runner.log").read_text()
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds
