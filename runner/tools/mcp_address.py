"""The way to an MCP server behind an address: that of http tools, with an end to each answer.

An answer that is packed, or longer than its bound, ends the session: `Ended` is told why, and
makes the failure that is raised.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2

from runner.contract.errors import ToolFailed
from runner.tools import egress
from runner.tools.mcp_process import LINE_BYTES_MAX
from runner.tools.mcp_server import Server

STREAM_BYTES_MAX: Final = 64 * 1024 * 1024
GOODBYE_S: Final = 2.0

Ended = Callable[[str], ToolFailed]


def client(server: Server, ended: Ended) -> httpx2.AsyncClient:
    """A client that connects where the manifest says, and reads no more than the bounds."""
    spec = server.spec
    headers = {"Accept-Encoding": "identity"}
    if spec.auth is not None and server.secret is not None:
        if spec.auth.profile == "bearer":
            headers["Authorization"] = f"Bearer {server.secret}"
        else:
            headers[spec.auth.header_name or "X-API-Key"] = server.secret
    where = egress.reach(spec.endpoint, spec.network)
    return egress.client(where, transport=_Bounded(where, ended), headers=headers)


class _Bounded(egress.Transport):
    """The way out, with an end to what one answer may hold."""

    def __init__(self, where: egress.Reach, ended: Ended) -> None:
        super().__init__(where)
        self._ended = ended

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; a packed answer is refused, since a small one may unpack huge."""
        if request.method == "DELETE":
            # How the SDK says goodbye, and waits: who does not answer is left all the same.
            async with asyncio.timeout(GOODBYE_S):
                await (await super().handle_async_request(request)).aclose()
            return httpx2.Response(204, request=request)
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            await response.aclose()
            raise self._ended("its answer is packed, which was not asked for")
        limit = LINE_BYTES_MAX if request.method == "POST" else STREAM_BYTES_MAX
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, limit, self._ended)
        return response


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int, ended: Ended) -> None:
        self._inner = inner
        self._ended = ended
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise self._ended(f"its answer is longer than {self._limit} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
