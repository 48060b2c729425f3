"""A grpc tool speaks JSON with gRPC's own server, and holds out against one that is hostile."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from canaries import in_bytes
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded
from test_egress import certified

from runner import tools
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Bounds, Call, Caller, egress

SECRET = "canary-grpc-7d10"
KEY = "01task:4"
Handler = Callable[[dict[str, Any], grpc.ServicerContext], Any]


class Served:
    """A gRPC server of Google's library, with JSON in place of protobuf."""

    def __init__(self, handler: Handler) -> None:
        self.received: list[tuple[dict[str, Any], dict[str, str]]] = []

        def execute(request: dict[str, Any], context: grpc.ServicerContext) -> Any:
            self.received.append((request, dict(context.invocation_metadata())))
            return handler(request, context)

        method = grpc.unary_unary_rpc_method_handler(execute, json.loads, as_bytes)
        service = grpc.method_handlers_generic_handler(
            "orloj.tool.v1.ToolService", {"Execute": method}
        )
        self._pool = ThreadPoolExecutor(2)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((service,))

    @contextmanager
    def running(self, credentials: grpc.ServerCredentials | None = None) -> Iterator[int]:
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()
        try:
            yield port
        finally:
            self._server.stop(None).wait()
            self._pool.shutdown()


def as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()


def call(endpoint: str, arguments: Any = None, **spec: Any) -> str:
    tool = Tool.model_validate({"type": "grpc", "endpoint": endpoint, **spec})
    made = Call(
        KEY,
        SECRET,
        Bounds(Path("/nonexistent"), (), 100_000),
        (SECRET,),
        caller=Caller("01task", "team", "clerk", "orders"),
    )
    return asyncio.run(tools.call(tool, arguments or {}, made)).text


def failure(endpoint: str, **spec: Any) -> ToolFailed:
    with pytest.raises(ToolFailed) as error:
        call(endpoint, **spec)
    return error.value


def done(request: dict[str, Any], _: grpc.ServicerContext) -> Any:
    return {"status": "ok", "request_id": request["request_id"], "output": {"result": "done"}}


def test_the_envelope_goes_there_and_back_with_what_proves_who_we_are() -> None:
    served = Served(done)
    with served.running() as port:
        answer = call(f"grpc://127.0.0.1:{port}", {"q": "é"}, auth={"secretRef": "s"})
    ((request, metadata),) = served.received
    assert answer == "done"
    assert request["input"] == {"q": "é"}
    assert request["tool"]["name"] == "orders"
    assert request["runtime"]["mode"] == "grpc"
    assert metadata["authorization"] == f"Bearer {SECRET}"
    assert metadata["idempotency-key"] == KEY
    assert metadata["x-tool-contract-version"] == "v1"
    assert not in_bytes(json.dumps(request).encode(), SECRET)


def test_messages_larger_than_a_window_go_through() -> None:
    served = Served(
        lambda request, _: {"status": "ok", "output": request["input"]["text"][:60_000]}
    )
    with served.running() as port:
        assert call(f"grpc://127.0.0.1:{port}", {"text": "é" * 500_000}) == "é" * 50_000 + (
            "\n[cut after 100000 bytes]"
        )


def test_tls_is_spoken_and_the_certificate_is_compared_with_the_name(tmp_path: Path) -> None:
    _, vouching = certified(tmp_path, "localhost")
    key, chain = tmp_path / "key.pem", tmp_path / "certificate.pem"
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), chain.read_bytes())])
    with Served(done).running(credentials) as port:
        untrusted = failure(f"localhost:{port}")
        egress.authorities(http2=True).load_verify_locations(cadata=vouching)
        assert call(f"localhost:{port}") == "done"
        another = failure(f"127.0.0.1:{port}")
    for error in (untrusted, another):
        assert "cannot be reached" in str(error)
        assert error.untouched


def test_a_secret_does_not_go_to_a_server_without_tls_that_was_not_said_to_have_none() -> None:
    served = Served(done)
    with served.running() as port:
        assert "cannot be reached" in str(failure(f"127.0.0.1:{port}", auth={"secretRef": "s"}))
    assert served.received == []


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "auth_invalid", False),
        (grpc.StatusCode.PERMISSION_DENIED, "auth_forbidden", False),
        (grpc.StatusCode.INVALID_ARGUMENT, "invalid_input", False),
        (grpc.StatusCode.UNIMPLEMENTED, "unsupported_tool", False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "timeout", True),
        (grpc.StatusCode.CANCELLED, "canceled", False),
        (grpc.StatusCode.UNAVAILABLE, "execution_failed", True),
        (grpc.StatusCode.NOT_FOUND, "execution_failed", False),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_status_has_its_code(status: grpc.StatusCode, code: str, retryable: bool) -> None:
    def refuse(_: Any, context: grpc.ServicerContext) -> Any:
        context.abort(status, f"100% no, {SECRET}")

    with Served(refuse).running() as port:
        error = failure(f"grpc://127.0.0.1:{port}")
    assert (error.code, error.retryable, error.untouched) == (code, retryable, False)
    assert f"answered {status.name}: 100% no, (secret)" in str(error)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"plain", "no envelope"),
        ({"status": "running"}, "is not done yet"),
        ({"status": "error", "error": {"message": f"broke {SECRET}"}}, "broke (secret)"),
        ({"status": "ok", "output": "x" * 2_000_000}, "longer than"),
    ],
    ids=["plain", "pending", "error", "long"],
)
def test_an_answer_that_is_no_output_fails(answer: Any, words: str) -> None:
    with Served(lambda *_: answer).running() as port:
        assert words in str(failure(f"grpc://127.0.0.1:{port}"))


def test_where_it_may_connect_is_for_the_way_out_to_say() -> None:
    error = failure("169.254.169.254:443")
    assert error.code is ToolCode.RUNTIME_POLICY_INVALID
    assert "no tool may connect to" in str(error)


def test_nobody_there_was_not_asked() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = failure(f"grpc://127.0.0.1:{taken.getsockname()[1]}")
    assert (error.retryable, error.untouched) == (True, True)


@contextmanager
def hostile(behave: Callable[[socket.socket, H2Connection], None]) -> Iterator[int]:
    """A server that reads one call and then does as it likes, over real http/2."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        taken, _ = listening.accept()
        with taken:
            connection = H2Connection(H2Configuration(client_side=False))
            connection.initiate_connection()
            taken.sendall(connection.data_to_send())
            try:
                asked = False
                while not asked and (data := taken.recv(65_536)):
                    events = connection.receive_data(data)
                    asked = any(isinstance(event, StreamEnded) for event in events)
                    taken.sendall(connection.data_to_send())
                behave(taken, connection)
            except OSError:
                return  # The other side has had enough, which is what is wanted.

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        thread.join()
        listening.close()


HEADERS = [(":status", "200"), ("content-type", "application/grpc+json")]


def say(taken: socket.socket, connection: H2Connection) -> None:
    taken.sendall(connection.data_to_send())


def endless(taken: socket.socket, connection: H2Connection) -> None:
    connection.send_headers(1, HEADERS)
    while True:
        while connection.local_flow_control_window(1) > 0:
            connection.send_data(
                1, b"\xff" * min(connection.local_flow_control_window(1), 16_384)
            )
        say(taken, connection)
        if not (data := taken.recv(65_536)):
            return
        connection.receive_data(data)


def pinging(taken: socket.socket, connection: H2Connection) -> None:
    while True:
        for _ in range(1_000):
            connection.ping(b"12345678")
        say(taken, connection)


def packed(taken: socket.socket, connection: H2Connection) -> None:
    connection.send_headers(1, HEADERS)
    connection.send_data(1, b"\x01\x00\x00\x00\x01x")
    connection.send_headers(1, [("grpc-status", "0")], end_stream=True)
    say(taken, connection)


def lying(taken: socket.socket, connection: H2Connection) -> None:
    connection.send_headers(1, HEADERS)
    connection.send_data(1, b"\x00\x7f\xff\xff\xffx")
    connection.send_headers(1, [("grpc-status", "0")], end_stream=True)
    say(taken, connection)


def refusing(taken: socket.socket, connection: H2Connection) -> None:
    connection.reset_stream(1, 7)
    say(taken, connection)


def leaving(taken: socket.socket, connection: H2Connection) -> None:
    connection.close_connection(0, last_stream_id=0)
    say(taken, connection)


def plain(taken: socket.socket, connection: H2Connection) -> None:
    connection.send_headers(1, [(":status", "503"), ("content-type", "text/html")], True)
    say(taken, connection)


def hanging_up(taken: socket.socket, connection: H2Connection) -> None:
    connection.send_headers(1, HEADERS)
    say(taken, connection)


def garbage(taken: socket.socket, connection: H2Connection) -> None:
    taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 100)


@pytest.mark.parametrize(
    ("behave", "words", "untouched"),
    [
        (endless, "longer than", False),
        (pinging, "sends without an end", False),
        (packed, "the answer is compressed", False),
        (lying, "not one whole message", False),
        (refusing, "reset the call", True),
        (leaving, "ended the connection", True),
        (plain, "answered UNAVAILABLE: http status 503", False),
        (hanging_up, "the grpc call broke off", False),
        (garbage, "the grpc call broke off", False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_hostile_server_ends_the_call_and_nothing_else(
    behave: Callable[[socket.socket, H2Connection], None], words: str, untouched: bool
) -> None:
    with hostile(behave) as port:
        error = failure(f"grpc://127.0.0.1:{port}")
    assert words in str(error)
    assert error.untouched is untouched


def test_a_server_that_says_nothing_is_over_when_the_time_is() -> None:
    released = threading.Event()

    def silent(_: socket.socket, __: H2Connection) -> None:
        released.wait(20)

    with hostile(silent) as port:
        error = failure(f"grpc://127.0.0.1:{port}", runtime={"timeout": "300ms"})
        released.set()
    assert error.code is ToolCode.TIMEOUT
