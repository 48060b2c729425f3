"""Ollama is asked in its own protocol, or in OpenAI's where its address says so."""

import json
from typing import Any

import pytest
from asking import OFFERS, ask
from local_server import Answer
from model_server import ModelServer, completion
from model_servers import OllamaServer, chat, chat_streamed, said

from runner.contract.errors import ModelFailed
from runner.conversation import Conversation, Exchange, ModelReply, ToolCall

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
CALLS = [{"name": "files__dot__read", "arguments": {"file": "é"}}]
SCHEMA = {"type": "object", "properties": {"grade": {"type": "integer"}}}


def answer(stream: bool, *args: Any, **kwargs: Any) -> Answer:
    return (chat_streamed if stream else chat)(*args, **kwargs)


@BOTH
def test_an_answer_is_a_reply_with_its_tokens(stream: bool) -> None:
    with OllamaServer(answer(stream, "hello é", tokens=(120, 34))).running() as server:
        reply = ask(server, "ollama", key=None, spec={"stream": stream})
    assert reply == ModelReply("hello é", (), 120, 34, "llama-served")
    assert server.questions[0]["stream"] is stream
    assert "Authorization" not in server.received[0].headers


@BOTH
def test_calls_come_back_under_the_names_that_tools_were_offered_under(stream: bool) -> None:
    with OllamaServer(answer(stream, None, CALLS)).running() as server:
        reply = ask(server, "ollama", spec={"stream": stream})
    assert reply.calls == (ToolCall("call_1", "files.read", {"file": "é"}),)
    assert reply.text is None


def test_an_endpoint_that_does_not_count_what_it_read_leaves_the_usage_open() -> None:
    with OllamaServer(chat("ok", tokens=None)).running() as server:
        assert ask(server, "ollama").usage is False


def test_the_whole_question_is_told() -> None:
    call = ToolCall("call_1", "files.read", {"file": "a"})
    exchange = Exchange(ModelReply(None, (call,)), {"call_1": "text"})
    talk = Conversation("clerk", "Be brief.", {"ticket": "7"}, None, (exchange,))
    with OllamaServer(chat("ok")).running() as server:
        spec = {"options": {"num_ctx": "8192"}}
        ask(server, "ollama", talk=talk, spec=spec, output_max=77, schema=SCHEMA)
    (asked,) = server.questions
    assert [one["role"] for one in asked["messages"]] == ["system", "user", "assistant", "tool"]
    assert asked["messages"][2]["tool_calls"] == [
        {"function": {"name": "files__dot__read", "arguments": {"file": "a"}}}
    ]
    assert asked["messages"][3]["content"] == "text"
    assert len(asked["tools"]) == len(OFFERS)
    assert asked["options"] == {"num_predict": 77, "num_ctx": 8192}
    assert asked["format"] == SCHEMA


@pytest.mark.parametrize("path", ["/v1", "/v1/"])
def test_an_address_that_ends_with_v1_is_asked_the_way_of_openai(path: str) -> None:
    with ModelServer(completion("hello")).running() as server:
        reply = ask(server.url + path, "ollama", key=None)
    assert reply.text == "hello"
    assert server.received[0].path == "/v1/chat/completions"


def test_its_address_and_its_model_may_stand_among_the_options() -> None:
    with OllamaServer(chat("hello")).running() as server:
        options = {"base_url": server.url, "default_model": "m"}
        assert ask(server, "ollama", spec={"options": options}).text == "hello"


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (404, False), (429, True), (503, True)]
)
def test_a_status_says_whether_to_try_again(status: int, retryable: bool) -> None:
    refused = said({"error": "model 'm' not found"}, status, **{"Retry-After": "3"})
    with (
        OllamaServer(refused).running() as server,
        pytest.raises(ModelFailed, match=f"answered {status}: model 'm' not found") as failed,
    ):
        ask(server, "ollama")
    assert (failed.value.retryable, failed.value.retry_after_s) == (retryable, 3.0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>"),
        Answer(200, b""),
        Answer(200, b"[" * 200_000),
        said([]),
        said(None),
        said({"message": "hi", "done": True, "message2": 1, "error": "out of memory"}),
        said({"message": {"content": 7}}),
        said({"message": {"content": "", "tool_calls": [{"function": {"name": 7}}]}}),
        said({"message": {"content": "", "tool_calls": ["x"]}}),
        Answer(200, b'{"message": {"content": "a"}, "message": {"content": "b"}}'),
        chat("x" * 1_048_577),
        chat(None, CALLS * 65),
    ],
    ids=lambda answer: repr(answer.body[:50]),
)
def test_nonsense_is_a_failure_and_no_surprise(answer: Answer) -> None:
    with OllamaServer(answer).running() as server, pytest.raises(ModelFailed):
        ask(server, "ollama")


def test_an_error_in_the_middle_of_a_stream_is_told() -> None:
    lines = [{"message": {"content": "Hel"}, "done": False}, {"error": "out of memory"}]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with (
        OllamaServer(Answer(200, body)).running() as server,
        pytest.raises(ModelFailed, match="broke off its answer: out of memory") as failed,
    ):
        ask(server, "ollama", spec={"stream": True})
    assert failed.value.retryable
