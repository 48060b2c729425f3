"""Tools that speak tool contract v1 over http say what servers said, hostile ones too."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from canaries import in_bytes
from local_server import Answer, LocalServer, Received

from runner import tools
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Bounds, Call, Caller

SECRET = "canary-key-51c2"
KEY = "01task:3"


def serving(answer: Answer | Callable[[Received], Answer]) -> LocalServer:
    return LocalServer(answer if callable(answer) else lambda _: answer)


def said(**body: Any) -> Answer:
    return Answer(200, json.dumps(body).encode())


def call(type: str, endpoint: str, arguments: Any = None, **spec: Any) -> str:
    tool = Tool.model_validate({"type": type, "endpoint": endpoint, **spec})
    made = Call(
        KEY,
        SECRET,
        Bounds(Path("/nonexistent"), (), 2_048),
        (SECRET,),
        caller=Caller("01task", "team", "clerk", "orders"),
    )
    return asyncio.run(tools.call(tool, arguments or {}, made)).text


def failure(type: str, endpoint: str, **spec: Any) -> ToolFailed:
    with pytest.raises(ToolFailed) as error:
        call(type, endpoint, **spec)
    return error.value


def test_external_is_sent_the_whole_envelope_and_never_the_secret() -> None:
    with serving(
        said(status="ok", request_id=KEY, output={"result": "done"})
    ).running() as server:
        answer = call(
            "external",
            server.url + "/x?a=1",
            {"q": "é", "n": [1]},
            auth={"secretRef": "s"},
            capabilities=["orders.read"],
            risk_level="high",
            runtime={"timeout": "5s", "retry": {"max_attempts": 2, "backoff": "1s"}},
        )
    (seen,) = server.received
    body = json.loads(seen.body)
    assert answer == "done"
    assert (seen.method, seen.path) == ("POST", "/x?a=1")
    assert seen.headers["X-Tool-Contract-Version"] == "v1"
    assert seen.headers["Idempotency-Key"] == KEY
    assert seen.headers["Authorization"] == f"Bearer {SECRET}"
    assert json.loads(body.pop("input_raw")) == {"q": "é", "n": [1]}
    assert body == {
        "tool_contract_version": "v1",
        "request_id": KEY,
        "task_id": "01task",
        "namespace": "team",
        "agent": "clerk",
        "tool": {
            "name": "orders",
            "operation": "invoke",
            "capabilities": ["orders.read"],
            "risk_level": "high",
        },
        "input": {"q": "é", "n": [1]},
        "runtime": {
            "mode": "external",
            "timeout_ms": 5000,
            "max_attempts": 2,
            "backoff": "1s",
            "max_backoff": "30s",
            "jitter": "none",
        },
        "auth": {"profile": "bearer", "secret_ref": "s", "scopes": []},
        "attempt": 1,
    }
    assert not in_bytes(seen.body, SECRET)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"status": "ok", "output": "text"}, "text"),
        ({"status": "ok", "output": {"summary": 1}}, '{"summary": 1}'),
        ({"status": "ok", "output": {"result": {"a": 1}}}, '{"a": 1}'),
        ({"status": "success", "result": {"data": 2}}, '{"data": 2}'),
        ({"status": "ok"}, ""),
        ({"status": "ok", "output": False}, "false"),
    ],
    ids=str,
)
def test_the_output_is_told_and_nothing_around_it(body: Any, answer: str) -> None:
    with serving(said(**body)).running() as server:
        assert call("external", server.url) == answer


@pytest.mark.parametrize(
    ("answer", "words", "code", "retryable"),
    [
        (Answer(200, b"plain"), "no envelope", "execution_failed", False),
        (Answer(200, b"[" * 60_000), "no envelope", "execution_failed", False),
        (Answer(200, b'{"status": 1}'), "no envelope", "execution_failed", False),
        (said(status="odd"), "does not know", "execution_failed", False),
        (said(status="running"), "is not done yet", "execution_failed", False),
        (
            said(status="ok", request_id="another"),
            "for another call",
            "execution_failed",
            False,
        ),
        (
            said(status="ok", tool_contract_version="v2"),
            "in tool contract v2",
            "unsupported_tool",
            False,
        ),
        (
            said(
                status="error", error={"code": "timeout", "message": "slow", "retryable": True}
            ),
            "the tool says: slow",
            "timeout",
            True,
        ),
        (
            said(status="error", error={"tool_code": "rate_limited", "tool_reason": "later"}),
            "the tool says: later",
            "execution_failed",
            False,
        ),
        (
            said(status="error", error={"code": "approval_denied", "message": "no"}),
            "the tool says: no",
            "execution_failed",
            False,
        ),
        (said(status="error", error="odd"), "no reason", "execution_failed", False),
        (
            said(status="denied", error={"message": "not you", "retryable": True}),
            "not you",
            "permission_denied",
            False,
        ),
        (Answer(404, b"gone"), "answered 404: gone", "execution_failed", False),
        (Answer(400, b"bad"), "answered 400: bad", "invalid_input", False),
        (
            Answer(422, b'{"status":"error","error":{"code":"invalid_input","message":"a"}}'),
            "the tool says: a",
            "invalid_input",
            False,
        ),
        (Answer(401, b"who"), "answered 401: who", "auth_invalid", False),
        (Answer(403, b"no"), "answered 403: no", "auth_forbidden", False),
        (Answer(504, b"late"), "answered 504: late", "timeout", True),
        (Answer(502, b"down"), "answered 502: down", "execution_failed", True),
    ],
    ids=range(19),
)
def test_what_is_no_output_fails_with_its_code(
    answer: Answer, words: str, code: str, retryable: bool
) -> None:
    with serving(answer).running() as server:
        error = failure("external", server.url)
    assert words in str(error)
    assert (error.code, error.retryable) == (code, retryable)


def test_an_envelope_longer_than_the_bound_is_not_read_to_its_end() -> None:
    with serving(said(status="ok", output="x" * 5_000_000)).running() as server:
        assert "longer than 2048 bytes" in str(failure("external", server.url))


def test_an_output_longer_than_the_bound_is_cut() -> None:
    with serving(said(status="ok", output="x" * 10_000)).running() as server:
        answer = call("external", server.url)
    assert answer == "x" * 2_048 + "\n[cut after 2048 bytes]"


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "error": {"message": f"you sent {SECRET}"}},
        {"status": "ok", "output": f"you sent {SECRET}"},
        {"status": "ok", "tool_contract_version": SECRET},
    ],
    ids=["error", "output", "version"],
)
def test_a_secret_in_an_envelope_is_masked(body: Any) -> None:
    with serving(said(**body)).running() as server:
        try:
            answer = call("external", server.url, auth={"secretRef": "s"})
        except ToolFailed as error:
            answer = str(error)
    assert not in_bytes(answer.encode(), SECRET)


def test_external_follows_no_redirect_unless_it_is_said() -> None:
    with serving(said(status="ok", output="stolen")).running() as thief:
        away = Answer(307, b"", {"Location": thief.url})
        with serving(away).running() as server:
            assert "answered 307" in str(failure("external", server.url))
            network = {"hosts": [f"127.0.0.1:{thief.port}"], "private": ["127.0.0.0/8"]}
            assert (
                call("external", server.url, network={**network, "redirects": True}) == "stolen"
            )
    assert len(thief.received) == 1


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"status": "ok", "output": {"result": "in"}}', "in"),
        (b'{"status": "ok", "data": 1}', '{"status": "ok", "data": 1}'),
        (
            b'{"status": "ok", "output": 1, "next": 2}',
            '{"status": "ok", "output": 1, "next": 2}',
        ),
        (b'{"status": "active"}', '{"status": "active"}'),
        (b"plain", "plain"),
        (b'"text"', '"text"'),
        (b'{"status": "error", "error": "x"}', '{"status": "error", "error": "x"}'),
    ],
    ids=range(7),
)
def test_http_may_answer_in_an_envelope_and_an_api_of_its_own_is_left_alone(
    body: bytes, answer: str
) -> None:
    with serving(Answer(200, body)).running() as server:
        assert call("http", server.url) == answer


def test_http_that_says_error_in_an_envelope_failed() -> None:
    body = b'{"status": "error", "error": {"code": "canceled", "message": "off"}}'
    with serving(Answer(200, body)).running() as server:
        error = failure("http", server.url)
    assert (error.code, str(error)) == (ToolCode.CANCELED, "the tool says: off")


class Job:
    """A tool that takes a call with 202 and tells of it later, in the order given."""

    def __init__(self, *polls: Answer, first: Answer | None = None) -> None:
        self.polls = list(polls)
        self.first = first or Answer(202, b"")

    def __call__(self, seen: Received) -> Answer:
        if seen.method == "POST":
            return self.first
        return self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]


DONE = said(status="ok", request_id=KEY, output="late")


def test_a_call_that_was_taken_is_asked_for_until_it_is_done() -> None:
    job = Job(said(status="running"), Answer(500), DONE)
    with serving(job).running() as server:
        assert (
            call("webhook-callback", server.url + "/jobs?v=2", auth={"secretRef": "s"})
            == "late"
        )
    first, *polls = server.received
    assert (first.method, first.path) == ("POST", "/jobs?v=2")
    assert json.loads(first.body)["request_id"] == KEY
    assert {(seen.method, seen.path) for seen in polls} == {("GET", f"/jobs/{KEY}?v=2")}
    assert len(polls) == 3
    assert all(seen.headers["Authorization"] == f"Bearer {SECRET}" for seen in polls)


def test_an_answer_at_once_needs_no_second_question() -> None:
    with serving(Job(DONE, first=DONE)).running() as server:
        assert call("webhook-callback", server.url) == "late"
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("polls", "words", "code"),
    [
        ([said(status="error", error={"message": "broke"})], "broke", "execution_failed"),
        ([said(status="denied", error={"message": "no"})], "no", "permission_denied"),
        ([Answer(404)], "does not know it any more", "execution_failed"),
        ([Answer(401)], "answered 401", "auth_invalid"),
        ([Answer(200, b"plain")], "no envelope", "execution_failed"),
    ],
    ids=["error", "denied", "unknown", "401", "plain"],
)
def test_a_job_that_ends_badly_fails_and_is_not_said_to_be_untouched(
    polls: list[Answer], words: str, code: str
) -> None:
    with serving(Job(*polls)).running() as server:
        error = failure("webhook-callback", server.url)
    assert words in str(error)
    assert (error.code, error.untouched) == (code, False)


def test_a_job_that_is_not_known_at_first_is_asked_for_again() -> None:
    with serving(Job(Answer(404), Answer(404), DONE)).running() as server:
        assert call("webhook-callback", server.url) == "late"


def test_a_job_that_never_ends_is_over_when_the_time_is() -> None:
    with serving(Job(Answer(202, b"", {"Retry-After": "0"}))).running() as server:
        error = failure("webhook-callback", server.url, runtime={"timeout": "900ms"})
    assert (error.code, error.untouched) == (ToolCode.TIMEOUT, False)
    assert len(server.received) >= 2


def test_a_webhook_that_nobody_takes_was_not_begun() -> None:
    with serving(Answer(429, b"", {"Retry-After": "7"})).running() as server:
        error = failure("webhook-callback", server.url)
    assert (error.untouched, error.retry_after_s) == (True, 7.0)
