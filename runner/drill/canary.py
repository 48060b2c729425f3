"""One server on this host that plays the model and the tool, and counts what it is asked.

    POST /v1/chat/completions    a call of the tool, then, when that is answered, the end
    POST /tool                   the canary: it was called

The fault comes while the model is being asked: what the runner does next is decide on the
call. The last thing before the answer is therefore `before_answer`.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from runner.governance.verdict import Call

BODY_MAX: Final = 16 * 1024 * 1024


class Canary:
    """Serves on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.struck = threading.Event()
        self.failed: Exception | None = None
        self._call = Call("", {})
        self._before_answer: Callable[[], None] = lambda: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # Whoever asked was killed: that is what drills do.
                    self.close_connection = True

            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers["Content-Length"]), BODY_MAX))
                said = outer._answer(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing: standard error is the person's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def expect(self, call: Call, before_answer: Callable[[], None]) -> None:
        """Have the model ask for this call, once `before_answer` is done; count anew."""
        self.called.clear()
        self.struck.clear()
        self._call, self._before_answer = call, before_answer

    @contextmanager
    def serving(self) -> Iterator["Canary"]:
        """Serve in a thread until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _answer(self, path: str, body: bytes) -> bytes:
        if path == "/tool":
            self.called.set()
            return b"called"
        answered = any(said.get("role") == "tool" for said in json.loads(body)["messages"])
        if answered:
            return _completion({"content": "done"})
        if not self.struck.is_set():
            self._strike()
        function = {
            "name": self._call.tool.replace(".", "__dot__").replace("/", "__slash__"),
            "arguments": json.dumps(self._call.arguments),
        }
        calls = [{"id": "call-1", "type": "function", "function": function}]
        return _completion({"content": None, "tool_calls": calls})

    def _strike(self) -> None:
        try:
            self._before_answer()
        except Exception as error:  # noqa: BLE001 - raised again where the drill can end.
            self.failed = error
        self.struck.set()


def _completion(message: dict[str, Any]) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "drill", "object": "chat.completion", "created": 1, "model": "drill"}
    return json.dumps({**body, "choices": [choice], "usage": usage}).encode()
