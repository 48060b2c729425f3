"""Anthropic's endpoint is asked in its own protocol, and what it says is read whole."""

import asyncio
import json
from typing import Any

import pytest
from asking import KEY, OFFERS, TALK, ask, question
from local_server import Answer
from model_servers import AnthropicServer, anthropic_failure, message, message_streamed, said

from runner import models
from runner.contract.errors import ModelFailed
from runner.conversation import Conversation, Exchange, ModelReply, ToolCall
from runner.models import Offer

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
SCHEMA = {
    "type": "object",
    "properties": {"grade": {"type": "integer"}},
    "required": ["grade"],
    "additionalProperties": False,
}


def answer(stream: bool, *args: Any, **kwargs: Any) -> Answer:
    return (message_streamed if stream else message)(*args, **kwargs)


@BOTH
@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
def test_an_answer_is_a_reply_with_its_tokens(stream: bool, path: str) -> None:
    with AnthropicServer(answer(stream, "hello é", tokens=(120, 34))).running() as server:
        reply = ask(server.url + path, "anthropic", spec={"stream": stream})
    assert reply == ModelReply("hello é", (), 120, 34, "claude-served")
    assert server.received[0].headers["anthropic-version"] == "2023-06-01"
    assert server.received[0].headers["X-Api-Key"] == KEY
    assert server.questions[0].get("stream", False) is stream


@BOTH
def test_calls_come_back_under_the_names_that_tools_were_offered_under(stream: bool) -> None:
    calls = [
        {"name": "files__dot__read", "arguments": {"file": "é", "deep": [{"x": None}]}},
        {"name": "never_offered", "arguments": {}},
    ]
    with AnthropicServer(answer(stream, "I look.", calls)).running() as server:
        reply = ask(server, "anthropic", spec={"stream": stream})
    assert reply.text == "I look."
    assert reply.calls == (
        ToolCall("toolu_0", "files.read", {"file": "é", "deep": [{"x": None}]}),
        ToolCall("toolu_1", "never_offered", {}),
    )


@BOTH
def test_what_a_cache_held_counts_as_read(stream: bool) -> None:
    usage = {"cache_creation_input_tokens": 1_000, "cache_read_input_tokens": 200}
    with AnthropicServer(answer(stream, "ok", tokens=(5, 7), **usage)).running() as server:
        reply = ask(server, "anthropic", spec={"stream": stream})
    assert (reply.tokens_in, reply.tokens_out, reply.usage) == (1_205, 7, True)


def test_the_whole_conversation_is_told() -> None:
    first = ToolCall("call_1", "files.read", {"file": "a"})
    again = ToolCall("call_1", "files.read", {"file": "b"})
    odd = ToolCall("not an id!", "other/send", {})
    talk = Conversation(
        "clerk",
        "Be brief.",
        {"ticket": "7"},
        "so far",
        (
            Exchange(ModelReply("I look.", (first,)), {"call_1": "one"}),
            Exchange(ModelReply("", (again, odd)), {"call_1": "two", "not an id!": "three"}),
        ),
    )
    with AnthropicServer(message("ok")).running() as server:
        ask(server, "anthropic", talk=talk)
    (asked,) = server.questions
    assert asked["model"] == "asked"
    assert asked["system"] == [{"type": "text", "text": "Be brief."}]
    assert [one["name"] for one in asked["tools"]] == ["files__dot__read", "other__slash__send"]
    said_first, told_first, said_again, told_again = asked["messages"][1:]
    assert said_first["content"][0] == {"type": "text", "text": "I look."}
    assert [block["type"] for block in said_again["content"]] == ["tool_use", "tool_use"]
    for said_one, told_one in ((said_first, told_first), (said_again, told_again)):
        uses = [block["id"] for block in said_one["content"] if block["type"] == "tool_use"]
        assert [block["tool_use_id"] for block in told_one["content"]] == uses
    assert [block["content"] for block in told_again["content"]] == ["two", "three"]


@pytest.mark.parametrize("text", ["No.", None], ids=["after words", "after nothing"])
def test_what_is_told_of_a_reply_stands_after_it_and_the_roles_take_turns(
    text: str | None,
) -> None:
    exchange = Exchange(ModelReply(text), told="That is no JSON.")
    with AnthropicServer(message("ok")).running() as server:
        ask(server, "anthropic", talk=Conversation("clerk", "", {}, None, (exchange,)))
    last = server.questions[0]["messages"][-1]
    assert last["role"] == "user"
    assert last["content"][-1] == {"type": "text", "text": "That is no JSON."}
    assert "system" not in server.questions[0]


@pytest.mark.parametrize(
    ("options", "output_max", "sent"),
    [({}, None, 4_096), ({}, 9_000, 9_000), ({"max_tokens": "1024"}, None, 1_024)]
    + [({"max_tokens": "1024"}, 77, 77), ({"max_tokens": "1024"}, 5_000, 1_024)],
)
def test_the_longest_answer_is_the_smaller_of_what_is_declared(
    options: dict[str, str], output_max: int | None, sent: int
) -> None:
    with AnthropicServer(message("ok")).running() as server:
        ask(server, "anthropic", spec={"options": options}, output_max=output_max)
    assert server.questions[0]["max_tokens"] == sent


def test_the_version_of_the_protocol_is_the_declared_one() -> None:
    with AnthropicServer(message("ok")).running() as server:
        ask(server, "anthropic", spec={"options": {"anthropic_version": "2024-01-02"}})
    assert server.received[0].headers["anthropic-version"] == "2024-01-02"


@pytest.mark.parametrize(
    ("length", "tools", "kept"),
    [(5_000, OFFERS, True), (10, OFFERS, False), (5_000, [], False)],
    ids=["long, with tools", "short", "asked once"],
)
def test_what_every_question_begins_with_is_marked_to_be_kept_where_it_pays(
    length: int, tools: list[Offer], kept: bool
) -> None:
    talk = Conversation("clerk", "x" * length, {}, None)
    with AnthropicServer(message("ok")).running() as server:
        ask(server, "anthropic", talk=talk, tools=tools)
    (asked,) = server.questions
    marked = [block.get("cache_control") for block in asked["system"]]
    marked += [tool.get("cache_control") for tool in asked.get("tools", [])]
    assert [mark for mark in marked if mark] == [{"type": "ephemeral"}] * (2 if kept else 0)
    assert "cache_control" in asked["system"][-1] or not kept


@BOTH
@pytest.mark.parametrize("tools", [[], OFFERS], ids=["no tools", "tools"])
def test_an_answer_of_a_shape_is_the_call_of_a_tool_that_nobody_makes(
    stream: bool, tools: list[Offer]
) -> None:
    given = [{"name": "final__answer", "arguments": {"grade": 3}}]
    with AnthropicServer(answer(stream, "Here.", given)).running() as server:
        reply = ask(server, "anthropic", spec={"stream": stream}, schema=SCHEMA, tools=tools)
    assert (json.loads(reply.text or ""), reply.calls) == ({"grade": 3}, ())
    (asked,) = server.questions
    assert asked["tools"][-1]["input_schema"] == SCHEMA
    named = {"type": "tool", "name": "final__answer"}
    assert asked["tool_choice"] == ({"type": "any"} if tools else named)


def test_a_model_that_calls_a_tool_instead_has_not_answered_yet() -> None:
    both = [
        {"name": "final__answer", "arguments": {"grade": 3}},
        {"name": "files__dot__read", "arguments": {}},
    ]
    with AnthropicServer(message(None, both)).running() as server:
        reply = ask(server, "anthropic", schema=SCHEMA)
    assert [call.tool for call in reply.calls] == ["files.read"]
    assert reply.text is None


def test_the_shape_goes_the_newer_way_where_the_manifest_says_so() -> None:
    with AnthropicServer(message('{"grade": 3}')).running() as server:
        options = {"structured_output": "json_schema"}
        reply = ask(server, "anthropic", spec={"options": options}, schema=SCHEMA)
    assert reply.text == '{"grade": 3}'
    (asked,) = server.questions
    assert asked["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
    assert "tool_choice" not in asked


@pytest.mark.parametrize(
    ("status", "type", "retryable", "untouched"),
    [
        (400, "invalid_request_error", False, True),
        (401, "authentication_error", False, True),
        (403, "permission_error", False, True),
        (413, "request_too_large", False, True),
        (429, "rate_limit_error", True, True),
        (500, "api_error", True, False),
        (529, "overloaded_error", True, False),
    ],
)
def test_a_status_says_whether_to_try_again_and_whether_it_was_paid(
    status: int, type: str, retryable: bool, untouched: bool
) -> None:
    refused = anthropic_failure(status, type, "because", **{"Retry-After": "7"})
    with (
        AnthropicServer(refused).running() as server,
        pytest.raises(ModelFailed, match=f"answered {status}: because") as failed,
    ):
        ask(server, "anthropic")
    assert (failed.value.retryable, failed.value.untouched) == (retryable, untouched)
    assert failed.value.retry_after_s == 7.0
    assert len(server.received) == 1, "the client retried by itself"


@pytest.mark.parametrize("before", [0, 290, 297, 310])
def test_the_key_stands_in_no_error(before: int) -> None:
    repeating = anthropic_failure(401, "authentication_error", "x" * before + KEY + "y" * 999)
    with AnthropicServer(repeating).running() as server, pytest.raises(ModelFailed) as failed:
        ask(server, "anthropic")
    assert KEY[:4] not in str(failed.value)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"content": None},
        {"content": "hi"},
        {"content": [{"type": "text", "text": 7}]},
        {"content": [{"type": "text"}]},
        {"content": [{"type": "tool_use", "id": "1", "name": "t", "input": [1]}]},
        {"content": [{"type": "tool_use", "id": "1", "name": None, "input": {}}]},
        {"content": [{"type": "tool_use", "id": "1", "name": "t" * 300, "input": {}}]},
        {"content": [{"type": "tool_use", "id": str(n), "name": "t"} for n in range(65)]},
    ],
    ids=lambda body: json.dumps(body)[:50],
)
def test_nonsense_is_a_failure_and_no_surprise(body: Any) -> None:
    with AnthropicServer(said(body)).running() as server, pytest.raises(ModelFailed):
        ask(server, "anthropic")


def test_a_question_is_never_larger_than_it_was_estimated() -> None:
    request = question("http://127.0.0.1:1", "anthropic", talk=TALK, schema=SCHEMA)
    plain = question("http://127.0.0.1:1", "anthropic", talk=TALK, tools=[])
    assert models.estimate(request).input > models.estimate(plain).input + 1_000
    assert models.estimate(request).likely <= models.estimate(request).input


def test_an_endpoint_without_a_key_is_not_asked() -> None:
    with AnthropicServer(message("ok")).running() as server:
        request = question(server, "anthropic", key=None)
        with pytest.raises(ModelFailed, match="secret has no value") as failed:
            asyncio.run(models.ask(request))
    assert failed.value.untouched
    assert server.received == []
