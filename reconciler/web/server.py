"""The port: connections, their bounds, and HTTP. The only caller of h11.

    accept ─> head (16 KiB) ─> judge ─> body (1 MiB) ─> handle ─> answer ─> close
       └── over 64 connections: the address with the most of them loses its oldest

One request a connection, fifteen seconds for all of it, so that whoever is slow is cut off
however they spend the time. A body is bounded by what it says of itself and by what comes.
An event loop in a thread of its own waits on the sockets; handlers get threads of their own.
"""

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final

import h11

from reconciler.web.message import Answer, Head, answer
from reconciler.web.router import Router
from runner.contract import errors, telemetry

HEAD_BYTES_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 1_048_576
CONNECTIONS_MAX: Final = 64
REQUEST_S: Final = 15.0
LINGER_BYTES_MAX: Final = 4_194_304
LINGER_S: Final = 1.0
"""How long what still comes is thrown away: closed at once, the answer would be lost too."""
HANDLERS: Final = 4
STOP_S: Final = 2.0
_CHUNK: Final = 65_536
_FIXED: Final = (
    ("Connection", "close"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


class _TooLong(Exception):
    """A body over the bound."""


class Server:
    """Serves a router at an address, from `start` to `stop`."""

    def __init__(
        self, host: str, port: int, router: Router, setting: str = "web.listen"
    ) -> None:
        self._place = (host, port)
        self._setting = setting
        self._router = router
        self._handlers = ThreadPoolExecutor(HANDLERS, thread_name_prefix="web-handler")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="web", daemon=True)
        self._open: dict[asyncio.Task[None], str] = {}  # Oldest first, each with its address.
        self._listening: asyncio.Server | None = None
        self.port = port

    def start(self) -> None:
        """Listen; SettingsInvalid when the address cannot be had."""
        host, port = self._place
        try:
            self._listening = self._loop.run_until_complete(
                asyncio.start_server(self._connected, host, port, limit=_CHUNK)
            )
        except OSError as error:
            self._loop.close()
            raise errors.SettingsInvalid(
                f"{self._setting}: nothing can listen on {host} port {port}: {error.strerror};"
                " choose another port"
            ) from error
        self.port = self._listening.sockets[0].getsockname()[1]
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; what is under way is cut off."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._handlers.shutdown(wait=False, cancel_futures=True)

    def _work(self) -> None:
        self._loop.set_exception_handler(_unforeseen)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._close())
        finally:
            self._loop.close()

    async def _close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    # One connection.

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = writer.get_extra_info("peername")
        address = str(peer[0]).partition("%")[0] if peer else "0.0.0.0"  # noqa: S104
        self._make_room()
        self._open[task] = address
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._serve(reader, writer, address)
        except (OSError, TimeoutError, h11.LocalProtocolError, asyncio.CancelledError):
            pass  # Gone, slow, or put out: there is nobody to tell.
        except Exception:  # noqa: BLE001  # The boundary: whatever was sent, the port lives on.
            telemetry.log_exception("web_failed", "A connection met an error nobody foresaw.")
        finally:
            del self._open[task]
            writer.transport.abort()

    def _make_room(self) -> None:
        """Put out the oldest connection of whoever holds the most, where there are too many.

        Refusing new ones instead would let whoever is first and slow keep the others out.
        """
        if len(self._open) < CONNECTIONS_MAX:
            return
        open_now = [task for task in self._open if not task.cancelling()]
        held = Counter(self._open[task] for task in open_now)
        if len(open_now) >= CONNECTIONS_MAX:
            most = held.most_common(1)[0][0]
            next(task for task in open_now if self._open[task] == most).cancel()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        head = None
        try:
            head = await _head(http, reader, address)
            if head is None:
                return
            found = self._router.judge(head)
            if found is None:
                if int(head.header("content-length") or 0) > BODY_BYTES_MAX:
                    raise _TooLong
                body = await _body(http, reader, writer)
                found = await self._loop.run_in_executor(
                    self._handlers, self._router.handle, head, body
                )
        except _TooLong:
            found = answer(413, error="the body is too long")
        except h11.RemoteProtocolError as error:
            found = answer(error.error_status_hint, error="this is no request")
        await _send(http, writer, found, bare=head is not None and head.method == "HEAD")
        await _linger(reader, writer)


def _unforeseen(_loop: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
    """What goes wrong outside of any connection, such as too many open files."""
    error = what.get("exception")
    telemetry.log(
        "web_failed",
        "The port met an error nobody foresaw.",
        level=logging.ERROR,
        error=type(error).__name__,
    )


async def _event(http: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(_CHUNK))
    return event


async def _head(
    http: h11.Connection, reader: asyncio.StreamReader, address: str
) -> Head | None:
    event = await _event(http, reader)
    if not isinstance(event, h11.Request):
        return None  # Closed without a word.
    return Head(
        method=event.method.decode("ascii"),
        path=event.target.decode("latin-1").partition("?")[0],
        address=address,
        headers=tuple(
            (name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers
        ),
    )


async def _body(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bytes:
    """The whole body; _TooLong as soon as it says so, or is."""
    parts: list[bytes] = []
    length = 0
    if http.they_are_waiting_for_100_continue:
        writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        await writer.drain()
    while isinstance(event := await _event(http, reader), h11.Data):
        length += len(event.data)
        if length > BODY_BYTES_MAX:
            raise _TooLong
        parts.append(bytes(event.data))
    return b"".join(parts)


async def _send(
    http: h11.Connection, writer: asyncio.StreamWriter, found: Answer, *, bare: bool
) -> None:
    headers = [*found.headers.items(), ("Content-Length", str(len(found.body))), *_FIXED]
    events = [
        h11.Response(
            status_code=found.status, headers=headers, reason=HTTPStatus(found.status).phrase
        ),
        *([] if bare else [h11.Data(data=found.body)]),
        h11.EndOfMessage(),
    ]
    writer.write(b"".join(http.send(event) or b"" for event in events))
    await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            for _ in range(LINGER_BYTES_MAX // _CHUNK):
                if not await reader.read(_CHUNK):
                    return
