"""The protocol of one unary gRPC call over h2, without a socket: bytes in, bytes out.

    headers, message in pieces as the window allows ──> out
    in ──> headers, pieces of one message, trailers ──> Ended

The other side may be hostile: the message is bounded before it is read, and so is all that
is read; compressed messages are refused, for a small one may unpack to a huge one.
"""

import struct
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

STREAM: Final = 1
PREFIX: Final = struct.Struct(">?I")
NOISE_BYTES_MAX: Final = 262_144
"""What a server may send besides its message: settings, pings, headers."""

_UNKNOWN: Final = 2
_INTERNAL: Final = 13
_STATUS_MAX: Final = 99
_OF_HTTP: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


class Broken(Exception):
    """The call ended before its answer was there; `untouched`: the server never took it."""

    def __init__(self, reason: str, *, untouched: bool = False) -> None:
        super().__init__(reason)
        self.untouched = untouched


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished call: its headers and trailers in one, and what came between them."""

    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> bytes:
        """The one message of the answer, without what stands before it."""
        return self.body[PREFIX.size :]


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, its length before it."""
    return PREFIX.pack(False, len(message)) + message


@dataclass
class Exchange:
    """One call on one connection, from the first byte to `ended`."""

    headers: list[tuple[str, str]]
    rest: bytes
    bytes_max: int
    ended: Ended | None = None
    _connection: H2Connection = field(init=False)
    _said: dict[str, str] = field(default_factory=dict)
    _body: bytearray = field(default_factory=bytearray)
    _read: int = 0

    def __post_init__(self) -> None:
        config = H2Configuration(client_side=True, header_encoding="utf-8")
        self._connection = H2Connection(config)
        self._connection.initiate_connection()
        self._connection.send_headers(STREAM, self.headers)

    def to_send(self) -> bytes:
        """What goes out now, as far as the other side lets more of the message come."""
        try:
            while self.rest and self.ended is None:
                window = self._connection.local_flow_control_window(STREAM)
                piece = min(window, self._connection.max_outbound_frame_size, len(self.rest))
                if piece <= 0:
                    break
                last = piece == len(self.rest)
                self._connection.send_data(STREAM, self.rest[:piece], end_stream=last)
                self.rest = self.rest[piece:]
        except H2Error as error:
            raise Broken(f"{type(error).__name__} in http/2") from None
        return self._connection.data_to_send()

    def receive(self, data: bytes) -> None:
        """Take in what came; Broken when that is the end, and not of the call."""
        if not data:
            raise Broken("the connection was closed")
        self._read += len(data)
        if self._read > self.bytes_max + NOISE_BYTES_MAX:
            raise Broken("the server sends without an end")
        try:
            events = self._connection.receive_data(data)
        except (H2Error, UnicodeDecodeError) as error:
            raise Broken(f"{type(error).__name__} in http/2") from None
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                self._said |= {str(name): str(value) for name, value in event.headers or ()}
            case DataReceived():
                self._body += event.data or b""
                if len(self._body) > self.bytes_max + PREFIX.size:
                    raise Broken(f"the answer is longer than {self.bytes_max} bytes")
                self._connection.acknowledge_received_data(
                    event.flow_controlled_length or 0, STREAM
                )
            case StreamEnded():
                self.ended = Ended(self._said, bytes(self._body))
            case StreamReset() if self.ended is None:
                refused = event.error_code == ErrorCodes.REFUSED_STREAM
                raise Broken("the server reset the call", untouched=refused)
            case ConnectionTerminated() if self.ended is None:
                untouched = (event.last_stream_id or 0) < STREAM
                raise Broken("the server ended the connection", untouched=untouched)


def status_of(ended: Ended) -> tuple[int, str]:
    """The status of a finished call and its words; a message that is none is a status too."""
    http = ended.headers.get(":status", "")
    if http != "200":
        found = _OF_HTTP.get(int(http) if http.isdecimal() else 0, _UNKNOWN)
        return found, f"http status {http}"
    if not ended.headers.get("content-type", "").startswith("application/grpc"):
        return _UNKNOWN, "the answer is not of gRPC"
    written = ended.headers.get("grpc-status", "")
    status = int(written) if written.isdecimal() and len(written) <= 2 else _UNKNOWN
    if status != 0:
        return min(status, _STATUS_MAX), unquote(ended.headers.get("grpc-message", ""))
    return _whole(ended)


def _whole(ended: Ended) -> tuple[int, str]:
    if len(ended.body) < PREFIX.size:
        return _INTERNAL, "there is no message in the answer"
    packed, length = PREFIX.unpack_from(ended.body)
    if packed or ended.headers.get("grpc-encoding", "identity") != "identity":
        return _INTERNAL, "the answer is compressed"
    if length != len(ended.message):
        return _INTERNAL, "the answer is not one whole message"
    return 0, ""
