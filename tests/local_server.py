"""A local HTTP server that answers from a script and remembers what it was asked."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to send back. `drip_s` waits before each byte of the body.

    After `cut_after` bytes of the body the connection is closed, though more was announced;
    after `stall_after` bytes nothing comes any more until the server is closed.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    cut_after: int | None = None
    stall_after: int | None = None


class LocalServer:
    """Serves on a free port; `received` holds the requests, oldest first."""

    def __init__(
        self, answer: Callable[[Received], Answer], address: str = "127.0.0.1"
    ) -> None:
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._answer = answer
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                request = Received(
                    self.command, self.path, dict(self.headers), self.rfile.read(length)
                )
                outer.received.append(request)
                outer._write(self, outer._answer(request))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        self._server = Server((address, 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        # Five callers at once, which is its own bound, is fewer than a worker has slots.
        self._server.socket.listen(256)
        self.port = self._server.server_port
        shown = f"[{address}]" if ":" in address else address
        self.url = f"http://{shown}:{self.port}"

    def _write(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if answer.cut_after is not None or answer.stall_after is not None:
            self._break_off(handler, answer)
            return
        step = 1 if answer.drip_s else max(len(answer.body), 1)
        for start in range(0, len(answer.body), step):
            if answer.drip_s and self.closing.wait(answer.drip_s):
                return
            handler.wfile.write(answer.body[start : start + step])
            handler.wfile.flush()

    def _break_off(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        end = answer.cut_after if answer.cut_after is not None else answer.stall_after
        handler.wfile.write(answer.body[:end])
        handler.wfile.flush()
        if answer.stall_after is not None:
            self.closing.wait()
        handler.close_connection = True

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    @contextmanager
    def running(self) -> Iterator["LocalServer"]:
        """Serve in a thread until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()
