"""An answer that comes in pieces is the one that comes at once, or a failure: no half one."""

import json
import socket
from dataclasses import replace
from typing import Any

import pytest
from asking import KEY, ask
from local_server import Answer
from model_server import ModelServer, completion, failure
from model_servers import (
    AnthropicServer,
    AzureServer,
    OllamaServer,
    chat_streamed,
    events,
    message_streamed,
    streamed,
)

from runner.contract.errors import ModelFailed
from runner.conversation import ModelReply

EACH = pytest.mark.parametrize(
    ("provider", "kind", "made"),
    [
        ("openai-compatible", ModelServer, streamed),
        ("azure", AzureServer, streamed),
        ("anthropic", AnthropicServer, message_streamed),
        ("ollama", OllamaServer, chat_streamed),
    ],
    ids=["openai", "azure", "anthropic", "ollama"],
)
STREAM = {"stream": True}


def asked(server: ModelServer, provider: str, **spec: Any) -> ModelReply:
    url = server.url + ("/v1" if provider == "openai-compatible" else "")
    return ask(url, provider, spec=STREAM | spec)


@pytest.mark.parametrize("tools", [0, 1, 3])
def test_a_stream_says_what_one_answer_says(tools: int) -> None:
    calls = [
        {"name": "files__dot__read", "arguments": {"n": n, "é": "\n"}} for n in range(tools)
    ]
    texts = [{**call, "arguments": json.dumps(call["arguments"])} for call in calls]
    with ModelServer(
        streamed("hello é", calls), completion("hello é", texts)
    ).running() as server:
        first = asked(server, "openai-compatible")
        second = asked(server, "openai-compatible", stream=False)
    assert first == second
    assert server.questions[0]["stream_options"] == {"include_usage": True}


def test_calls_that_come_whole_and_without_a_place_are_kept_apart() -> None:
    calls = [{"id": str(n), "function": {"name": f"t{n}", "arguments": "{}"}} for n in range(2)]
    chunk = {"choices": [{"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}
    with ModelServer(events(chunk, done=True)).running() as server:
        reply = asked(server, "openai-compatible")
    assert [call.tool for call in reply.calls] == ["t0", "t1"]
    assert reply.usage is False


@EACH
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_stream_that_is_cut_is_no_answer(
    provider: str, kind: Any, made: Any, part: float
) -> None:
    whole = made("a long answer " * 20)
    broken = replace(whole, cut_after=int(len(whole.body) * part))
    with kind(broken).running() as server, pytest.raises(ModelFailed, match="broke off") as one:
        asked(server, provider)
    assert one.value.retryable
    assert not one.value.untouched


@EACH
def test_a_stream_that_only_seems_to_end_is_no_answer(
    provider: str, kind: Any, made: Any
) -> None:
    body = made("a long answer").body
    lines = body.splitlines(keepends=True)
    early = replace(made(), body=b"".join(lines[: len(lines) // 2]))
    with kind(early).running() as server, pytest.raises(ModelFailed, match="broke off"):
        asked(server, provider)


@EACH
def test_a_stream_that_falls_silent_is_given_up(provider: str, kind: Any, made: Any) -> None:
    stalled = replace(made("hello, hello"), stall_after=300)
    with kind(stalled).running() as server, pytest.raises(ModelFailed, match="in time") as one:
        asked(server, provider, idle_timeout="200ms")
    assert one.value.retryable


@EACH
def test_a_stream_that_drips_for_too_long_is_given_up(
    provider: str, kind: Any, made: Any
) -> None:
    slow = replace(made("hello, hello"), drip_s=0.02)
    with kind(slow).running() as server, pytest.raises(ModelFailed, match="in time") as one:
        asked(server, provider, timeout="300ms")
    assert one.value.retryable


@EACH
def test_a_stream_without_end_is_not_read_to_its_end(
    provider: str, kind: Any, made: Any
) -> None:
    endless = replace(made(), body=b": " + b"x" * 17_000_000)
    with kind(endless).running() as server, pytest.raises(ModelFailed, match="longer than"):
        asked(server, provider)


@EACH
def test_a_reply_that_grows_too_long_is_not_put_together(
    provider: str, kind: Any, made: Any
) -> None:
    long = kind(made("x" * 1_048_600))
    with long.running() as server, pytest.raises(ModelFailed, match="than a reply may be"):
        asked(server, provider)


@EACH
def test_a_refusal_is_one_whether_or_not_it_was_to_stream(
    provider: str, kind: Any, made: Any
) -> None:
    busy = failure(429, f"busy {KEY}", **{"Retry-After": "4"})
    with kind(busy).running() as server, pytest.raises(ModelFailed, match="429") as one:
        asked(server, provider)
    assert (one.value.retryable, one.value.retry_after_s) == (True, 4.0)
    assert KEY not in str(one.value)


def test_nobody_at_the_address_is_worth_another_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for provider in ("openai-compatible", "anthropic", "ollama", "azure"):
            with pytest.raises(ModelFailed, match="cannot be reached") as failed:
                ask(url, provider, spec=STREAM)
            assert (failed.value.retryable, failed.value.untouched) == (True, True)


BROKEN = {"error": {"message": f"overloaded, {KEY}", "type": "overloaded_error"}}


@pytest.mark.parametrize(
    ("provider", "kind", "answer"),
    [
        ("openai-compatible", ModelServer, events({"choices": []}, BROKEN)),
        (
            "anthropic",
            AnthropicServer,
            events({"type": "ping"}, {"type": "error", **BROKEN}, named=True),
        ),
    ],
    ids=["openai", "anthropic"],
)
def test_an_error_in_the_middle_of_a_stream_is_told(
    provider: str, kind: Any, answer: Answer
) -> None:
    with kind(answer).running() as server, pytest.raises(ModelFailed) as failed:
        asked(server, provider)
    assert "broke off its answer: overloaded" in str(failed.value)
    assert KEY not in str(failed.value)
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("provider", "kind", "answer"),
    [
        ("openai-compatible", ModelServer, Answer(200, b"data: {\n\n")),
        ("openai-compatible", ModelServer, events([], None, "x", done=True)),
        ("openai-compatible", ModelServer, events({"choices": [{"delta": {"content": 7}}]})),
        ("anthropic", AnthropicServer, Answer(200, b"event: message_start\ndata: {\n\n")),
        ("anthropic", AnthropicServer, events({"type": "content_block_start"}, named=True)),
        ("ollama", OllamaServer, Answer(200, b'{"done": true}\n{\n')),
    ],
    ids=lambda value: getattr(value, "body", b"").decode()[:30] or None,
)
def test_nonsense_in_a_stream_is_a_failure_and_no_surprise(
    provider: str, kind: Any, answer: Answer
) -> None:
    typed = replace(answer, headers={"Content-Type": "text/event-stream"})
    with kind(typed).running() as server, pytest.raises(ModelFailed):
        asked(server, provider)
