"""Tools of type `grpc`: one unary call of `orloj.tool.v1.ToolService/Execute`, in JSON.

    connect ──headers, one message──> wait ──headers, one message, trailers──> envelope

The messages are the envelopes of `external`. Their type is `application/grpc+json`, which is
how a server knows that they are no protobuf; gRPC's own library for Python cannot say it, so
the protocol is spoken here, over h2. TLS is spoken unless the endpoint begins with `grpc://`.
"""

import asyncio
import contextlib
import ssl
from functools import partial
from typing import Any, Final

import httpx2

from runner.contract import seal
from runner.contract.errors import Refused, ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.contract.kinds.tool_fields import grpc_place
from runner.tools import Answered, Call, authorization, egress, envelope
from runner.tools.authorization import Proof
from runner.tools.envelope import Pending
from runner.tools.grpc_call import Broken, Ended, Exchange, framed, status_of

METHOD: Final = "/orloj.tool.v1.ToolService/Execute"
READ_BYTES: Final = 65_536

_OK: Final = 0
_CODES: Final = {
    1: ToolCode.CANCELED,
    3: ToolCode.INVALID_INPUT,
    4: ToolCode.TIMEOUT,
    7: ToolCode.AUTH_FORBIDDEN,
    12: ToolCode.UNSUPPORTED_TOOL,
    16: ToolCode.AUTH_INVALID,
}
_NAMES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
_RETRYABLE: Final = frozenset({2, 4, 8, 10, 13, 14})


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """The output in the answer; ToolFailed."""
    message = envelope.request(tool, arguments, call)
    return await authorization.proved(tool, call, partial(_asked, tool, message, call))


async def _asked(tool: Tool, message: bytes, call: Call, proof: Proof) -> Answered:
    assert tool.endpoint is not None
    secure, host = grpc_place(tool.endpoint)
    assert host.port is not None
    context = egress.authorities(http2=True) if secure else None
    where = egress.reach_host(host, tool.network)
    try:
        reader, writer = await egress.connected(where, host.name, host.port, context)
    except Refused as error:
        raise ToolFailed(
            f"{host} cannot be asked: {error}", code=ToolCode.RUNTIME_POLICY_INVALID
        ) from None
    except httpx2.ConnectError as error:
        raise ToolFailed(
            f"{host} cannot be reached: ConnectError", retryable=True, untouched=True
        ) from error
    try:
        if secure:
            _speaks_http2(writer, str(host))
        ended = await _exchanged(
            reader, writer, _headers(tool, secure, call, proof), message, call
        )
    finally:
        # Not a farewell: what is left unsent would keep the connection for ever.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return _read(str(host), ended, call, proof)


def _speaks_http2(writer: asyncio.StreamWriter, place: str) -> None:
    connection = writer.get_extra_info("ssl_object")
    assert isinstance(connection, ssl.SSLObject)
    if connection.selected_alpn_protocol() != "h2":
        raise ToolFailed(f"{place} does not speak http/2, over which grpc goes", untouched=True)


def _headers(tool: Tool, secure: bool, call: Call, proof: Proof) -> list[tuple[str, str]]:
    _, host = grpc_place(tool.endpoint or "")
    milliseconds = max(int(seconds(tool.runtime.timeout) * 1_000), 1)
    return [
        (":method", "POST"),
        (":scheme", "https" if secure else "http"),
        (":path", METHOD),
        (":authority", str(host)),
        ("te", "trailers"),
        ("content-type", "application/grpc+json"),
        ("grpc-accept-encoding", "identity"),
        ("grpc-timeout", f"{min(milliseconds, 99_999_999)}m"),
        ("idempotency-key", call.idempotency_key),
        (envelope.HEADER.lower(), envelope.VERSION),
        *((name.lower(), value) for name, value in proof.headers.items()),
    ]


async def _exchanged(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    headers: list[tuple[str, str]],
    message: bytes,
    call: Call,
) -> Ended:
    """How the call ended, as far as the protocol goes; ToolFailed."""
    limit = call.bounds.output_bytes_max + envelope.OVERHEAD_BYTES
    exchange = Exchange(headers, framed(message), limit)
    try:
        while True:
            writer.write(exchange.to_send())
            await writer.drain()
            if exchange.ended is not None:
                return exchange.ended
            exchange.receive(await reader.read(READ_BYTES))
    except Broken as error:
        raise ToolFailed(
            f"the grpc call broke off: {error}", retryable=True, untouched=error.untouched
        ) from None
    except OSError as error:
        raise ToolFailed(
            f"the grpc call broke off: {type(error).__name__}", retryable=True
        ) from None


def _read(place: str, ended: Ended, call: Call, proof: Proof) -> Answered:
    status, words = status_of(ended)
    if status != _OK:
        said = seal.excerpt(words, envelope.SAID_CHARACTERS, proof.hidden)
        name = _NAMES[status] if status < len(_NAMES) else str(status)
        raise ToolFailed(
            f"{place} answered {name}: {said}",
            code=_CODES.get(status, ToolCode.EXECUTION_FAILED),
            retryable=status in _RETRYABLE,
        )
    output = envelope.answer(ended.message.decode("utf-8", "replace"), call, proof.hidden)
    if isinstance(output, Pending):
        raise ToolFailed("the tool is not done yet, and type grpc waits for no second answer")
    return Answered(output, hidden=proof.hidden)
