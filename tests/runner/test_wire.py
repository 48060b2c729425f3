"""Whatever comes over the wire is a JSON object that can be stored, or it is the end."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.wire import LINE_MAX, Wire


def connected(use: Callable[[Wire, Wire, asyncio.StreamWriter], Awaitable[Any]]) -> Any:
    """What `use` returns, given both ends of a wire and the raw way into the second."""

    async def both() -> Any:
        ours, theirs = socket.socketpair()
        streams = [
            await asyncio.open_connection(sock=end, limit=LINE_MAX) for end in (ours, theirs)
        ]
        one, two = (Wire(reader, writer) for reader, writer in streams)
        try:
            return await use(one, two, streams[0][1])
        finally:
            for _, writer in streams:
                writer.close()

    return asyncio.run(both())


def received(raw: bytes) -> dict[str, Any] | None:
    async def use(one: Wire, two: Wire, into: asyncio.StreamWriter) -> dict[str, Any] | None:
        into.write(raw)
        reading = asyncio.create_task(two.receive())
        await into.drain()
        one.close()
        return await reading

    result: dict[str, Any] | None = connected(use)
    return result


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b'{"do": "run"}',
        b"\n",
        b"nonsense\n",
        b"[1]\n",
        b'"text"\n',
        b'{"x": NaN}\n',
        b'{"x": -Infinity}\n',
        b'{"x": "\xff"}\n',
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        b'{"x": ' + b"9" * 5_000 + b"}\n",
        b'{"x": "' + b"y" * LINE_MAX + b'"}\n',
    ],
    ids=[
        "nothing",
        "half a line",
        "an empty line",
        "no JSON",
        "a list",
        "a text",
        "NaN",
        "infinity",
        "no UTF-8",
        "too deep",
        "too many digits",
        "too long",
    ],
)
def test_nonsense_is_the_end(raw: bytes) -> None:
    assert received(raw) is None


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, JSON, max_size=3))
def test_a_message_arrives_as_it_was_sent(message: dict[str, Any]) -> None:
    async def use(one: Wire, two: Wire, _: asyncio.StreamWriter) -> dict[str, Any] | None:
        one.send(message)
        return await two.receive()

    assert connected(use) == message


def test_half_a_surrogate_pair_arrives_as_something_that_can_be_stored() -> None:
    async def use(one: Wire, two: Wire, _: asyncio.StreamWriter) -> dict[str, Any] | None:
        one.send({"\udc80": "a\ud800b"})
        return await two.receive()

    assert connected(use) == {"?": "a?b"}


def test_a_number_that_json_does_not_have_is_not_sent() -> None:
    async def use(one: Wire, two: Wire, _: asyncio.StreamWriter) -> dict[str, Any] | None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            one.send({"x": float("nan")})
        one.send({"x": 1})
        return await two.receive()

    assert connected(use) == {"x": 1}


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("a\0b", "a\ufffdb"),
        ("\0\0", "\ufffd\ufffd"),
        ("\\\0", "\\\ufffd"),
        (r"a\u0000b", r"a\u0000b"),
        (r"a\\u0000b", r"a\\u0000b"),
    ],
    ids=["one", "two", "after a backslash", "its escape as text", "two backslashes"],
)
def test_a_nul_which_a_database_may_not_keep_is_replaced(sent: str, arrives: str) -> None:
    async def use(one: Wire, two: Wire, _: asyncio.StreamWriter) -> Any:
        one.send({"text": sent, sent: 1})
        return await two.receive()

    assert connected(use) == {"text": arrives, arrives: 1}
