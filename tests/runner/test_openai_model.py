"""What an endpoint answers becomes a reply or a ModelFailed, and the key stays where it is."""

import asyncio
import gzip
import json
import socket
from typing import Any

import pytest
from local_server import Answer
from model_server import ModelServer, completion, failure, said

from runner import conversation, models
from runner.contract.errors import ModelFailed
from runner.contract.kinds import ModelEndpoint
from runner.conversation import Conversation, Exchange, ModelReply, ToolCall
from runner.models import Offer, Request
from runner.models.openai import _client

KEY = "sk-canary-51bd"
TALK = Conversation("clerk", "Be brief.", {"ticket": "7"}, None)
OFFERS = [Offer("files.read", "Reads.", {"type": "object"}), Offer("other/send", "", {})]


def ask(server: ModelServer | str, talk: Conversation = TALK, **spec: Any) -> ModelReply:
    url = server if isinstance(server, str) else server.url + "/v1"
    endpoint = ModelEndpoint.model_validate(
        {"provider": "openai-compatible", "base_url": url, "default_model": "m", **spec}
    )

    async def once() -> ModelReply:
        try:
            return conversation.checked(
                await models.ask(Request(endpoint, "asked", KEY, talk, OFFERS))
            )
        finally:
            await _client(url, KEY).close()  # Each test has a loop of its own.
            _client.cache_clear()

    return asyncio.run(once())


def test_an_answer_is_a_reply_with_its_tokens() -> None:
    with ModelServer(completion("hello", tokens=(120, 34))).running() as server:
        reply = ask(server)
    assert reply == ModelReply("hello", (), 120, 34, "served")
    (asked,) = server.received
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_the_whole_conversation_is_told() -> None:
    call = ToolCall("c9", "files.read", {"file": "é"})
    talk = Conversation(
        "clerk",
        "Be brief.",
        {"ticket": "7"},
        "so far",
        (Exchange(ModelReply(None, (call,)), {"c9": "text"}),),
    )
    with ModelServer(completion("ok")).running() as server:
        ask(server, talk)
    (question,) = server.questions
    assert question["model"] == "asked"
    assert [message["role"] for message in question["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert question["messages"][2]["tool_calls"][0]["function"] == {
        "name": "files__dot__read",
        "arguments": json.dumps({"file": "é"}),
    }
    assert question["messages"][3] == {"role": "tool", "tool_call_id": "c9", "content": "text"}
    names = [item["function"]["name"] for item in question["tools"]]
    assert names == ["files__dot__read", "other__slash__send"]


def test_a_call_is_given_back_the_name_it_was_offered_under() -> None:
    calls = [
        {"name": "files__dot__read", "arguments": '{"file": "a"}'},
        {"name": "other__slash__send", "arguments": ""},
        {"name": "never__dot__offered", "arguments": "{}"},
    ]
    with ModelServer(completion(None, calls)).running() as server:
        reply = ask(server)
    assert reply.calls == (
        ToolCall("call-0", "files.read", {"file": "a"}),
        ToolCall("call-1", "other/send", {}),
        ToolCall("call-2", "never__dot__offered", {}),
    )


@pytest.mark.parametrize(
    "id", ["", None, 7, "same", "x" * 257], ids=["empty", "none", "number", "same", "long"]
)
def test_calls_without_ids_of_their_own_are_told_apart(id: object) -> None:
    body = json.loads(
        completion(
            None, [{"name": "a", "arguments": "{}"}, {"name": "b", "arguments": "{}"}]
        ).body
    )
    for call in body["choices"][0]["message"]["tool_calls"]:
        call["id"] = id
    with ModelServer(said(body)).running() as server:
        assert [call.id for call in ask(server).calls] == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, False), (403, False), (404, False), (422, False), (302, False)]
    + [(408, True), (409, True), (429, True), (500, True), (502, True), (503, True)],
    ids=str,
)
def test_a_status_says_whether_to_try_again(status: int, retryable: bool) -> None:
    with (
        ModelServer(failure(status, "because")).running() as server,
        pytest.raises(ModelFailed, match=f"answered {status}: because") as failed,
    ):
        ask(server)
    assert failed.value.retryable is retryable
    assert len(server.received) == 1, "the client retried by itself"


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [("7", 7.0), ("0.5", 0.5), ("²", None), ("1e9", None), ("-1", None), ("soon", None)]
    + [("Wed, 21 Oct 2026 07:28:00 GMT", None), ("9" * 400, None)],
    ids=["seconds", "a part", "a power", "exponent", "negative", "word", "date", "absurd"],
)
def test_retry_after_is_taken_when_it_is_a_number_of_seconds(
    header: str, expected_s: float | None
) -> None:
    busy = failure(429, **{"Retry-After": header})
    with ModelServer(busy).running() as server, pytest.raises(ModelFailed) as failed:
        ask(server)
    assert failed.value.retry_after_s == expected_s


def message(**fields: Any) -> Answer:
    return said({"choices": [{"message": {"role": "assistant", **fields}}]})


def calling(function: Any) -> Answer:
    return message(tool_calls=[{"id": "1", "type": "function", "function": function}])


@pytest.mark.parametrize(
    "answer",
    [
        said({}),
        said({"choices": []}),
        said({"choices": None}),
        said({"choices": "x"}),
        said({"choices": [None]}),
        said({"choices": [{}]}),
        said({"choices": [{"message": "hi"}]}),
        said([]),
        said(None),
        said("text"),
        Answer(200, b"<html>", {"Content-Type": "text/html"}),
        Answer(200, b"{", {"Content-Type": "application/json"}),
        Answer(200, b"\xff\xfe", {"Content-Type": "application/json"}),
        Answer(200, b"[" * 200_000, {"Content-Type": "application/json"}),
        Answer(200, b"", {"Content-Type": "application/json"}),
        message(content=[{"type": "text", "text": "hi"}]),
        message(content=7),
        message(content=None, tool_calls=7),
        message(content=None, tool_calls=["x"]),
        calling(None),
        calling({"name": None, "arguments": "{}"}),
        calling({"name": "t", "arguments": "{"}),
        calling({"name": "t", "arguments": "[1]"}),
        calling({"name": "t", "arguments": "null "}),
        calling({"name": "t", "arguments": '{"x": NaN}'}),
        calling({"name": "t", "arguments": '{"x": 1e999}'}),
        calling({"name": "t", "arguments": '{"x": ' + "9" * 5_000 + "}"}),
        calling({"name": "t", "arguments": '{"x": ' + "[" * 500 + "]" * 500 + "}"}),
        calling({"name": "t", "arguments": "[" * 100_000}),
        calling({"name": "t", "arguments": {"x": 1}}),
        calling({"name": "t", "arguments": {}}),
        calling({"name": "t", "arguments": 0}),
        calling({"name": "t", "arguments": '{"path": "a", "path": "b"}'}),
        calling({"name": "t", "arguments": '{"x": [{"y": 1, "\\u0079": 2}]}'}),
        calling({"name": "t" * 300, "arguments": "{}"}),
        completion(None, [{"name": "t", "arguments": "{}"}] * 65),
        completion("x" * 1_048_577),
    ],
    ids=lambda answer: repr(answer.body[:60]),
)
def test_nonsense_is_a_failure_and_no_surprise(answer: Answer) -> None:
    with ModelServer(answer).running() as server, pytest.raises(ModelFailed):
        ask(server)


@pytest.mark.parametrize(
    ("tokens", "counted"),
    [((10**30, -1), (10**12, 0)), (("1", None), (0, 0)), ((1.5, []), (0, 0))],
    ids=["absurd", "texts", "odd"],
)
def test_what_it_claims_to_have_cost_is_bounded(
    tokens: tuple[Any, Any], counted: tuple[int, int]
) -> None:
    with ModelServer(completion("ok", tokens=tokens)).running() as server:
        reply = ask(server)
    assert (reply.tokens_in, reply.tokens_out) == counted


def test_nobody_at_the_address_is_worth_another_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ModelFailed, match="cannot be reached") as failed:
            ask(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
    assert failed.value.retryable


@pytest.mark.parametrize("drip_s", [0.02, 30.0], ids=["dripping", "silent"])
def test_an_answer_that_takes_too_long_is_given_up(drip_s: float) -> None:
    slow = Answer(200, b" " * 5_000, {"Content-Type": "application/json"}, drip_s)
    with (
        ModelServer(slow).running() as server,
        pytest.raises(ModelFailed, match="did not answer in time") as failed,
    ):
        ask(server, timeout="300ms")
    assert failed.value.retryable


def test_a_redirect_takes_neither_key_nor_conversation_elsewhere() -> None:
    with ModelServer(completion("stolen")).running() as thief:
        away = said({}, 307, Location=thief.url + "/v1/chat/completions")
        with ModelServer(away).running() as server, pytest.raises(ModelFailed, match="307"):
            ask(server)
    assert thief.received == []


def test_nothing_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer(completion("elsewhere")).running() as elsewhere:
        for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, elsewhere.url)
        monkeypatch.setenv("OPENAI_API_KEY", "other")
        with ModelServer(completion("here")).running() as server:
            assert ask(server).text == "here"
    assert elsewhere.received == []


def test_no_error_text_of_ours_holds_the_key() -> None:
    with (
        ModelServer(failure(401, "bad")).running() as server,
        pytest.raises(ModelFailed) as failed,
    ):
        ask(server)
    told: BaseException | None = failed.value
    while told is not None:
        assert KEY not in str(told)
        assert KEY not in repr(told)
        told = told.__cause__ or told.__context__


def test_openai_itself_needs_a_key() -> None:
    endpoint = ModelEndpoint.model_validate({"provider": "openai", "default_model": "m"})
    with pytest.raises(ModelFailed, match="secret has no value"):
        asyncio.run(models.ask(Request(endpoint, "m", None, TALK, [])))


def test_an_endpoint_whose_secret_has_no_value_is_not_asked() -> None:
    with ModelServer(completion("hello")).running() as server:
        endpoint = ModelEndpoint.model_validate(
            {
                "provider": "openai-compatible",
                "base_url": server.url + "/v1",
                "default_model": "m",
                "auth": {"secretRef": "other/s"},
            }
        )
        with pytest.raises(ModelFailed, match="allowedNamespaces"):
            asyncio.run(models.ask(Request(endpoint, "m", None, TALK, [])))
    assert server.received == []


@pytest.mark.parametrize("before", [0, 280, 290, 297, 299, 300, 310])
def test_a_key_that_is_said_back_where_an_error_is_cut_is_not_kept(before: int) -> None:
    answer = failure(401, "x" * before + KEY + "y" * 1_000)
    with ModelServer(answer).running() as server, pytest.raises(ModelFailed) as failed:
        ask(server)
    assert KEY[:4] not in str(failed.value)
    assert len(str(failed.value)) < 400


def test_a_name_that_only_looks_like_an_offered_one_stays_what_it_is() -> None:
    cyrillic = "other__slash__s\u0435nd"
    with ModelServer(completion(None, [{"name": cyrillic, "arguments": "{}"}])).running() as s:
        assert [call.tool for call in ask(s).calls] == [cyrillic]


def test_two_tools_that_a_model_cannot_tell_apart_are_not_offered() -> None:
    offers = [Offer("a.b", "", {}), Offer("a__dot__b", "", {})]
    endpoint = ModelEndpoint.model_validate({"provider": "ollama", "default_model": "m"})
    with pytest.raises(ModelFailed, match="cannot tell apart"):
        asyncio.run(models.ask(Request(endpoint, "m", None, TALK, offers)))


def test_an_answer_that_unpacks_to_a_huge_one_is_not_unpacked() -> None:
    packed = gzip.compress(b" " * 200_000_000 + b"{}")
    json_type = {"Content-Type": "application/json"}
    bomb = Answer(200, packed, {**json_type, "Content-Encoding": "gzip"})
    with ModelServer(bomb).running() as server, pytest.raises(ModelFailed, match="packed"):
        ask(server)
    assert server.received[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_end_is_not_read_to_its_end(status: int) -> None:
    endless = Answer(status, b" " * 17_000_000, {"Content-Type": "application/json"})
    with (
        ModelServer(endless).running() as server,
        pytest.raises(ModelFailed, match="longer than 16777216 bytes") as failed,
    ):
        ask(server)
    assert not failed.value.retryable
