"""A tool is called again only where that cannot do a thing twice, and every try can be seen."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from local_server import Answer, LocalServer, Received

from runner.contract.errors import LeaseLost, ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Bounds, Call, attempts
from runner.tools.attempts import Try, pause_s

RETRY = {"max_attempts": 3, "backoff": "1ms", "max_backoff": "1s"}


class Failing:
    """A server that fails as it is told, and then answers."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def __call__(self, _: Received) -> Answer:
        return self.answers.pop(0) if self.answers else Answer(200, b"ok")


def ours() -> None:
    """The task is still this worker's."""


def made(endpoint: str, tries: list[Try], **spec: Any) -> str:
    retry = {"runtime": {"timeout": "5s", "retry": RETRY}}
    tool = Tool.model_validate({"endpoint": endpoint, **retry, **spec})
    call = Call("t:1", None, Bounds(Path("/nonexistent"), (), 2_048))
    return asyncio.run(attempts.made(tool, {}, call, tries, ours)).text


def test_an_idempotent_tool_is_called_again_with_the_same_key_and_each_try_is_kept() -> None:
    tries: list[Try] = []
    with LocalServer(Failing(Answer(500, b"one"), Answer(502, b"two"))).running() as server:
        assert made(server.url, tries, idempotent=True) == "ok"
    assert [seen.headers["Idempotency-Key"] for seen in server.received] == ["t:1"] * 3
    assert [one.to_json()["error"].rpartition(" ")[2] for one in tries] == ["one", "two"]
    assert [one.code for one in tries] == ["execution_failed"] * 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(502),
        Answer(503),
        Answer(504),
        Answer(408),
        Answer(200, b'{"status": "error", "error": {"message": "x", "retryable": true}}'),
    ],
    ids=["500", "502", "503", "504", "408", "it says so"],
)
def test_what_may_have_been_done_is_not_done_again(answer: Answer) -> None:
    tries: list[Try] = []
    with LocalServer(Failing(answer)).running() as server, pytest.raises(ToolFailed):
        made(server.url, tries)
    assert (len(server.received), tries) == (1, [])


@pytest.mark.parametrize(
    "answer",
    [Answer(429), Answer(425), Answer(503, b"", {"Retry-After": "0"})],
    ids=["429", "425", "503 with Retry-After"],
)
def test_what_was_certainly_not_done_is_tried_again_by_any_tool(answer: Answer) -> None:
    tries: list[Try] = []
    with LocalServer(Failing(answer)).running() as server:
        assert made(server.url, tries) == "ok"
    assert (len(server.received), len(tries)) == (2, 1)


def test_a_connection_that_nobody_takes_is_tried_again_by_any_tool() -> None:
    tries: list[Try] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ToolFailed, match="ConnectError"):
            made(f"http://127.0.0.1:{taken.getsockname()[1]}", tries)
    assert len(tries) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    tries: list[Try] = []
    with LocalServer(Failing(Answer(status))).running() as server, pytest.raises(ToolFailed):
        made(server.url, tries, idempotent=True)
    assert (len(server.received), tries) == (1, [])


def test_a_tool_is_told_which_try_it_is() -> None:
    tries: list[Try] = []
    body = json.dumps({"status": "ok", "output": "x"}).encode()
    failing = Failing(Answer(500), Answer(200, body))
    with LocalServer(failing).running() as server:
        assert made(server.url, tries, type="external", idempotent=True) == "x"
    assert [json.loads(seen.body)["attempt"] for seen in server.received] == [1, 2]


def test_each_try_has_the_whole_time_and_no_more() -> None:
    tries: list[Try] = []
    drip = Answer(200, b"x" * 1_000, drip_s=0.05)
    spec = {"runtime": {"timeout": "200ms", "retry": {"max_attempts": 2}}, "idempotent": True}
    with LocalServer(Failing(drip, drip)).running() as server:
        with pytest.raises(ToolFailed) as error:
            made(server.url, tries, **spec)
        assert len(server.received) == 2
    assert (error.value.code, [one.code for one in tries]) == (ToolCode.TIMEOUT, ["timeout"])


def test_a_task_that_was_taken_away_meanwhile_makes_no_other_try() -> None:
    def lost() -> None:
        raise LeaseLost

    tool = {"idempotent": True, "runtime": {"retry": RETRY}}
    with LocalServer(Failing(Answer(500), Answer(500))).running() as server:
        spec = Tool.model_validate({"endpoint": server.url, **tool})
        call = Call("t:1", None, Bounds(Path("/nonexistent"), (), 2_048))
        with pytest.raises(LeaseLost):
            asyncio.run(attempts.made(spec, {}, call, [], lost))
    assert len(server.received) == 1


def tool(retry: dict[str, Any], **spec: Any) -> Tool:
    return Tool.model_validate({"endpoint": "http://a", "runtime": {"retry": retry}, **spec})


AGAIN = ToolFailed("x", retryable=True, untouched=True)


@pytest.mark.parametrize(
    ("retry", "failure", "number", "wait_s"),
    [
        ({}, AGAIN, 1, None),
        ({"max_attempts": 2}, AGAIN, 1, 0.0),
        ({"max_attempts": 2}, AGAIN, 2, None),
        ({"max_attempts": 9, "backoff": "2s"}, AGAIN, 1, 2.0),
        ({"max_attempts": 9, "backoff": "2s"}, AGAIN, 3, 8.0),
        ({"max_attempts": 9, "backoff": "2s", "max_backoff": "5s"}, AGAIN, 3, 5.0),
        ({"max_attempts": 9, "backoff": "2s", "jitter": "full"}, AGAIN, 3, 4.0),
        ({"max_attempts": 9, "backoff": "2s", "jitter": "equal"}, AGAIN, 3, 6.0),
        ({"max_attempts": 9, "backoff": "2s", "jitter": "decorrelated"}, AGAIN, 3, 7.0),
        (
            {"max_attempts": 9, "backoff": "2s"},
            ToolFailed("x", retryable=True, untouched=True, retry_after_s=20.0),
            1,
            20.0,
        ),
        (
            {"max_attempts": 9, "max_backoff": "10s"},
            ToolFailed("x", retryable=True, untouched=True, retry_after_s=20.0),
            1,
            None,
        ),
        ({"max_attempts": 9}, ToolFailed("x", untouched=True), 1, None),
        ({"max_attempts": 9}, ToolFailed("x", retryable=True), 1, None),
    ],
    ids=range(13),
)
def test_how_long_is_waited(
    retry: dict[str, Any], failure: ToolFailed, number: int, wait_s: float | None
) -> None:
    assert pause_s(tool(retry), failure, number, 0.5) == wait_s


def test_an_idempotent_tool_may_repeat_whatever_may_pass() -> None:
    failure = ToolFailed("x", retryable=True)
    assert pause_s(tool({"max_attempts": 2}, idempotent=True), failure, 1, 0.5) == 0.0
