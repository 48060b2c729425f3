"""How dispatcher and worker talk: one JSON object a line, over a socket pair.

    worker → dispatcher   ready, ping, model, tool, result, finish; `id` where an answer is due
    dispatcher → worker   hello, step, run, cancel, forget, leave, answer (to an `id`), pong

A line has a limit, so that neither side can fill the other's memory. What stands in it can
be stored: no number that JSON does not have, no half of a surrogate pair, no NUL.
"""

import asyncio
import contextlib
import json
import re
from typing import Any, Final

LINE_MAX: Final = 16 * 1024 * 1024
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""The escape itself, and not the five characters after a backslash that is one."""


class TooLong(ValueError):
    """A message is longer than a line of the wire may be."""


def line(message: dict[str, Any]) -> bytes:
    """A message as it goes over the wire; TooLong, ValueError for what JSON does not have."""
    written = _ENCODER.encode(message).encode("utf-8", "replace") + b"\n"
    if len(written) > LINE_MAX:
        size, limit = len(written) >> 20, LINE_MAX >> 20
        raise TooLong(f"a message of {size} MiB; the wire takes {limit} MiB")
    return written


class Wire:
    """One end of the connection. Reading None means that the other end is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; ValueError for a number that JSON does not have, TooLong.

        What cannot be delivered is noticed by reading.
        """
        self.write(line(message))

    def write(self, lines: bytes) -> None:
        """Queue lines that are made already."""
        if not self._writer.is_closing():
            self._writer.write(lines)

    async def flush(self) -> None:
        """Wait until the other end has taken most of what was sent, or is gone."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end, and when the other end talks nonsense."""
        try:
            raw = await self._reader.readline()
            if not raw.endswith(b"\n"):
                return None
            message = _DECODER.decode(_without_nul(raw).decode())
        except (ConnectionError, ValueError, RecursionError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def _without_nul(raw: bytes) -> bytes:
    """The line with the replacement character where a text held a NUL.

    PostgreSQL keeps none, and what a model or a program says may hold one.
    """
    return _NUL.sub(rb"\1\\ufffd", raw) if b"\\u0000" in raw else raw


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# Made once: what `json.dumps` and `json.loads` would make for every line.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
