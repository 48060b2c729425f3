"""An MCP server behind an address is held to the rules of the way out, and to the same pins."""

import asyncio
import contextlib
import gzip
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mcp_servers
import pytest
from local_server import Answer, LocalServer, Received
from mcp_servers import JSON, Hand, answered, pinned

from runner import tools
from runner.contract.errors import ToolDenied, ToolFailed
from runner.contract.kinds import Key, McpServer, Tool
from runner.contract.kinds.mcp_offer import Offer
from runner.tools import Bounds, Call
from runner.tools.mcp_server import Server
from runner.tools.mcp_sessions import McpSessions

KEY = Key("default", "McpServer", "notes")
CANARY = "canary-8812-http"
BOUNDS = Bounds(Path("/nonexistent/files"), (), 16_384)


class Worker:
    """An event loop with the sessions of a worker."""

    def __init__(self) -> None:
        self.sessions = McpSessions()
        self._loop = asyncio.new_event_loop()

    def call(
        self,
        url: str,
        arguments: dict[str, Any] | None = None,
        tool: Tool | None = None,
        *,
        secret: str | None = None,
        **more: Any,
    ) -> str:
        wait = {"reconnect": {"max_attempts": 1, "backoff": "10ms"}}
        spec = McpServer.model_validate({"transport": "http", "endpoint": url, **wait, **more})
        hidden = (secret,) if secret else ()
        server = Server(KEY, spec, "default", secret=secret, hidden=hidden)
        call = Call("t:1", None, BOUNDS, hidden, server=server, sessions=self.sessions)
        return self.run(tools.call(tool or pinned(), arguments or {}, call)).text

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, 30))

    def close(self) -> None:
        self.run(self.sessions.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


@contextlib.contextmanager
def by_the_sdk() -> Iterator[str]:
    """A server by the SDK over streamable HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [mcp_servers.PYTHON, "-c", mcp_servers.SDK, str(port)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while process.poll() is None:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


def test_a_server_by_the_sdk_is_asked_over_http(worker: Worker) -> None:
    schema = {
        "type": "object",
        "properties": {"text": {"title": "Text", "type": "string"}},
        "required": ["text"],
        "title": "echoArguments",
    }
    echo = pinned(Offer("echo", "Say it back.", schema, {}))
    with by_the_sdk() as url:
        assert worker.call(url, {"text": "hi"}, echo) == "hi"
        assert worker.call(url, {"text": "again"}, echo) == "again"
        with pytest.raises(ToolDenied, match="its input schema differs"):
            worker.call(url, {"text": "hi"})


def spoken(message: dict[str, Any]) -> Answer:
    text = message["params"]["arguments"].get("text", "")
    return answered(message, {"content": [{"type": "text", "text": text}]})


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({}, "Authorization", f"Bearer {CANARY}"),
        ({"profile": "api_key_header"}, "X-API-Key", CANARY),
        ({"profile": "api_key_header", "headerName": "X-Notes"}, "X-Notes", CANARY),
    ],
    ids=["bearer", "api key", "a header of its own"],
)
def test_who_we_are_is_told_with_every_request(
    worker: Worker, auth: dict[str, str], name: str, value: str
) -> None:
    hand = Hand(spoken)
    with LocalServer(hand).running() as server:
        given = {"secretRef": "token", **auth}
        assert worker.call(server.url, {"text": "a"}, secret=CANARY, auth=given) == "a"
    folded = [{key.lower(): text for key, text in one.items()} for one in hand.headers]
    assert {one.get(name.lower()) for one in folded} == {value}


def test_the_idempotency_key_travels_with_the_call(worker: Worker) -> None:
    seen: list[dict[str, Any]] = []

    def called(message: dict[str, Any]) -> Answer:
        seen.append(message["params"]["_meta"])
        return spoken(message)

    with LocalServer(Hand(called)).running() as server:
        worker.call(server.url)
    assert seen[0]["orloj.dev/idempotency-key"] == "t:1"


def packed(message: dict[str, Any]) -> Answer:
    body = gzip.compress(b" " * 10_000_000 + spoken(message).body)
    return Answer(200, body, {**JSON, "Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("called", "reason"),
    [
        (
            lambda message: Answer(200, b"x" * 5_000_000, JSON),
            "longer than 4194304 bytes",
        ),
        (packed, "its answer is packed"),
        (lambda message: Answer(500, CANARY.encode()), "an error"),
        (lambda message: Answer(200, b"hello", {"Content-Type": "text/html"}), "error"),
        (lambda message: Answer(200, b"{}", JSON), "error|not what"),
        (lambda message: Answer(302, b"", {"Location": "http://other.example/"}), "error"),
        (lambda message: Answer(202), "202"),
    ],
    ids=["huge", "packed", "500", "html", "no message", "sent elsewhere", "accepted"],
)
def test_a_hostile_answer_costs_a_call_and_no_more(
    worker: Worker, called: Callable[[dict[str, Any]], Answer], reason: str
) -> None:
    with LocalServer(Hand(called)).running() as server:
        with pytest.raises(ToolFailed, match=reason) as failed:
            worker.call(server.url, secret=CANARY, auth={"secretRef": "token"})
        assert CANARY not in str(failed.value)
    with LocalServer(Hand(spoken)).running() as server:
        assert worker.call(server.url, {"text": "well"}) == "well"


def test_a_session_that_the_server_forgot_is_made_anew_and_the_call_once(
    worker: Worker,
) -> None:
    calls: list[str] = []

    def called(message: dict[str, Any]) -> Answer:
        calls.append(message["params"]["arguments"]["text"])
        return Answer(404) if len(calls) == 2 else spoken(message)

    hand = Hand(called)
    with LocalServer(hand).running() as server:
        assert worker.call(server.url, {"text": "one"}) == "one"
        assert worker.call(server.url, {"text": "two"}) == "two"
    assert calls == ["one", "two", "two"]
    assert hand.methods.count("initialize") == 2


def test_an_address_that_hands_out_credentials_is_never_reached(worker: Worker) -> None:
    with pytest.raises(ToolFailed, match="stands for an address that no tool may connect to"):
        worker.call("http://169.254.169.254/mcp")


def test_a_server_that_is_not_there_is_tried_as_declared_and_told(worker: Worker) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        with pytest.raises(ToolFailed, match=r"notes cannot be used.*ConnectError") as failed:
            worker.call(url)
    assert failed.value.untouched


def test_a_server_that_takes_no_goodbye_is_left(worker: Worker) -> None:
    hand = Hand(spoken)

    def slow(request: Received) -> Answer:
        # A body that never ends, where the SDK waits for one.
        endless = request.method == "DELETE"
        return Answer(200, b"x" * 1_000, drip_s=60) if endless else hand(request)

    with LocalServer(slow).running() as server:
        assert worker.call(server.url, {"text": "a"}) == "a"
        worker.run(worker.sessions.close())
        assert [one.method for one in server.received].count("DELETE") == 1
