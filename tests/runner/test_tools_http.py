"""An http tool says what its server answered, and its secret goes to that server alone."""

import asyncio
import gzip
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from local_server import Answer, LocalServer, Received

from runner import tools
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Bounds, Call

SECRET = "user:canary-77aa"


def call(
    endpoint: str,
    arguments: dict[str, Any] | None = None,
    *,
    key: str = "t:1",
    secret: str | None = None,
    hidden: tuple[str, ...] = (),
    **spec: Any,
) -> str:
    tool = Tool.model_validate({"type": "http", "endpoint": endpoint, **spec})
    bounds = Bounds(Path("/nonexistent"), (), 2_048)
    return asyncio.run(
        tools.call(tool, arguments or {}, Call(key, secret, bounds, hidden))
    ).text


def serving(answer: Answer | Callable[[Received], Answer]) -> LocalServer:
    return LocalServer(answer if callable(answer) else lambda _: answer)


def test_arguments_travel_as_a_json_body() -> None:
    with serving(Answer(200, b'{"ok": 1}')).running() as server:
        assert call(server.url + "/x", {"a": "é", "n": [1]}) == '{"ok": 1}'
    (seen,) = server.received
    assert (seen.method, seen.path) == ("POST", "/x")
    assert json.loads(seen.body) == {"a": "é", "n": [1]}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_method_without_a_body_puts_them_into_the_query(method: str) -> None:
    with serving(Answer(200, b"ok")).running() as server:
        call(server.url + "/x", {"q": "a&b=c"}, method=method)
    (seen,) = server.received
    assert (seen.method, seen.path, seen.body) == (method, "/x?q=a%26b%3Dc", b"")


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, False), (404, False), (409, False), (301, False)]
    + [(408, True), (425, True), (429, True), (500, True), (503, True)],
    ids=str,
)
def test_what_is_no_success_fails_and_says_whether_to_try_again(
    status: int, retryable: bool
) -> None:
    with (
        serving(Answer(status, b"sorry")).running() as server,
        pytest.raises(ToolFailed, match=f"answered {status}: sorry") as failed,
    ):
        call(server.url)
    assert failed.value.retryable is retryable


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"profile": "bearer"}, "Authorization", f"Bearer {SECRET}"),
        ({"profile": "api_key_header", "headerName": "X-Mine"}, "X-Mine", SECRET),
        ({"profile": "basic"}, "Authorization", "Basic dXNlcjpjYW5hcnktNzdhYQ=="),
    ],
    ids=["bearer", "key", "basic"],
)
def test_a_secret_goes_into_its_header(auth: dict[str, str], header: str, value: str) -> None:
    with serving(Answer(200)).running() as server:
        call(server.url, secret=SECRET, auth={"secretRef": "s", **auth})
    assert server.received[0].headers[header] == value


def test_without_a_value_for_its_secret_nothing_is_sent() -> None:
    with (
        serving(Answer(200)).running() as server,
        pytest.raises(ToolFailed, match="secret has no value"),
    ):
        call(server.url, auth={"secretRef": "s"})
    assert server.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with serving(Answer(200, b"stolen")).running() as thief:
        away = Answer(status, b"", {"Location": thief.url})
        with serving(away).running() as server, pytest.raises(ToolFailed, match=str(status)):
            call(server.url, secret=SECRET, auth={"secretRef": "s"})
    assert thief.received == []


def test_an_answer_is_read_up_to_the_bound() -> None:
    with serving(Answer(200, b"x" * 5_000_000)).running() as server:
        assert call(server.url) == "x" * 2_048 + "\n[cut after 2048 bytes]"


def test_a_small_answer_that_unpacks_to_a_huge_one_is_not_unpacked() -> None:
    bomb = gzip.compress(b"x" * 50_000_000)
    with serving(Answer(200, bomb, {"Content-Encoding": "gzip"})).running() as server:
        answer = call(server.url)
    assert len(answer.encode()) <= 2 * 2_048
    assert server.received[0].headers["Accept-Encoding"] == "identity"


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    with serving(Answer(200, b"a\xff\x00b")).running() as server:
        assert call(server.url) == "a\ufffd\x00b"


def test_an_answer_that_drips_is_over_when_the_time_is() -> None:
    slow = Answer(200, b"x" * 1_000, drip_s=0.05)
    with (
        serving(slow).running() as server,
        pytest.raises(ToolFailed, match=r"no answer within runtime\.timeout") as failed,
    ):
        call(server.url, runtime={"timeout": "300ms"})
    assert failed.value.retryable


def test_the_idempotency_key_is_the_one_given_every_time() -> None:
    with serving(Answer(200)).running() as server:
        for _ in range(3):
            call(server.url, key="task:7")
    assert [seen.headers["Idempotency-Key"] for seen in server.received] == ["task:7"] * 3


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Answer(200, b"proxy")).running() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with serving(Answer(200, b"server")).running() as server:
            assert call(server.url) == "server"
    assert proxy.received == []


def test_nobody_at_the_address_is_worth_another_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ToolFailed, match="cannot be reached: ConnectError") as failed:
            call(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert failed.value.retryable


def test_a_password_in_an_endpoint_is_used_and_not_shown() -> None:
    with serving(Answer(401, b"no")).running() as server:
        place = server.url.replace("http://", f"http://{SECRET}@") + "/x?key=canary-query"
        with pytest.raises(ToolFailed, match="/x answered 401: no") as failed:
            call(place)
    assert "canary" not in str(failed.value)
    assert server.received[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("secret", ["a\r\nX-More: 1", "é", "a\x00"], ids=["lines", "é", "zero"])
def test_a_secret_that_is_no_header_is_neither_sent_nor_shown(secret: str) -> None:
    with serving(Answer(200)).running() as server, pytest.raises(ToolFailed) as failed:
        call(server.url, secret=secret, auth={"secretRef": "s"})
    assert secret not in str(failed.value)
    assert server.received == []


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("before", [280, 295, 2_035, 2_047, 2_100])
def test_a_secret_that_is_said_back_where_the_answer_is_cut_is_not_kept(
    status: int, before: int
) -> None:
    said = b"x" * before + SECRET.encode() + b"y" * 10_000
    with serving(Answer(status, said)).running() as server:
        try:
            answer = call(server.url, hidden=(SECRET,))
        except ToolFailed as error:
            answer = str(error)
    assert SECRET[:4] not in answer


def test_giant_headers_are_an_answer_and_fill_no_memory() -> None:
    giant = Answer(200, b"ok", {f"X-{number}": "x" * 60_000 for number in range(90)})
    with serving(giant).running() as server, pytest.raises(ToolFailed, match="cannot be"):
        call(server.url)


def test_a_server_is_told_the_name_it_was_asked_by() -> None:
    with serving(Answer(200, b"ok")).running() as server:
        assert call(server.url.replace("127.0.0.1", "localhost")) == "ok"
    assert server.received[0].headers["Host"].startswith("localhost:")
