"""Reads what a model endpoint answers up to a bound, and unpacks nothing.

A small answer may unpack to a huge one, and one without end would fill the memory of the
worker and take the tasks of its other slots along.
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

from runner.contract.errors import ModelFailed

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024


class Transport(httpx2.AsyncHTTPTransport):
    """Asks for answers as they are, and stops reading one that is too long."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; reading the answer raises ModelFailed beyond the bound."""
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise ModelFailed("the model endpoint packed its answer, which nobody asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream)
        return response


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                raise ModelFailed(
                    f"the model endpoint's answer is longer than {ANSWER_BYTES_MAX} bytes"
                )
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
