"""One question over http, its answer read up to a bound, and what a bad answer means.

Shared by every type of tool that speaks http. No more is read than is kept, and nothing is
unpacked, since a small answer may unpack to a huge one.

    2xx ──> Reply        401, 403 ──> auth_invalid, auth_expired, auth_forbidden
    400, 422 ──> invalid_input      408, 504 ──> timeout      all else ──> execution_failed
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from runner.contract import clock, seal
from runner.contract.errors import Refused, ToolCode, ToolFailed
from runner.tools import egress, redirect
from runner.tools.redirect import Question

SAID_CHARACTERS: Final = 300

_CODES: Final = {
    400: ToolCode.INVALID_INPUT,
    401: ToolCode.AUTH_INVALID,
    403: ToolCode.AUTH_FORBIDDEN,
    408: ToolCode.TIMEOUT,
    422: ToolCode.INVALID_INPUT,
    504: ToolCode.TIMEOUT,
}
_RETRYABLE: Final = frozenset({408, 425, 429})
_UNTOUCHED: Final = frozenset({401, 425, 429})
"""What a server answers before it has begun on anything."""
_UNAVAILABLE: Final = 503
PLAIN: Final = _UNTOUCHED | {403, _UNAVAILABLE}
"""Statuses that say more than any words that come with them."""
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
# An address that is none, or a header that may not be sent: trying again changes nothing.
_NEVER_SENT: Final = (
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and whether it was longer than what was read of it."""

    status: int
    headers: httpx2.Headers
    text: str
    cut: bool

    @property
    def success(self) -> bool:
        """Whether the status is one of the 2xx."""
        return 200 <= self.status < 300


async def ask(
    where: egress.Reach, question: Question, *, place: str, follow: bool, bytes_max: int
) -> Reply:
    """The answer to a question, whatever its status; ToolFailed when there is none."""
    try:
        async with (
            egress.client(where) as client,
            redirect.ask(client, question, follow=follow) as response,
        ):
            body, cut = await _body(response, bytes_max)
    except Refused as error:
        raise ToolFailed(
            f"{place} cannot be asked: {error}", code=ToolCode.RUNTIME_POLICY_INVALID
        ) from None
    except _NEVER_SENT as error:
        raise ToolFailed(
            f"{place} cannot be asked: {type(error).__name__}",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        ) from None
    except httpx2.HTTPError as error:
        # A connection that did not come about carried no request.
        unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        raise ToolFailed(
            f"{place} cannot be reached: {type(error).__name__}",
            retryable=True,
            untouched=unsent,
        ) from error
    return Reply(response.status_code, response.headers, body, cut)


def failure(place: str, reply: Reply, hidden: Collection[str]) -> ToolFailed:
    """What an answer that is no success means."""
    after = retry_after_s(reply.headers.get("Retry-After"))
    code = _CODES.get(reply.status, ToolCode.EXECUTION_FAILED)
    if code is ToolCode.AUTH_INVALID and _expired(reply.headers.get("WWW-Authenticate", "")):
        code = ToolCode.AUTH_EXPIRED
    asked_to_wait = reply.status == _UNAVAILABLE and after is not None
    said = seal.excerpt(reply.text, SAID_CHARACTERS, hidden)
    return ToolFailed(
        f"{place} answered {reply.status}: {said}",
        code=code,
        retryable=reply.status in _RETRYABLE or reply.status >= 500,
        untouched=reply.status in _UNTOUCHED or asked_to_wait,
        retry_after_s=after,
    )


def retry_after_s(written: str | None) -> float | None:
    """The seconds that a `Retry-After` asks for; None for what is none."""
    if written is None:
        return None
    if _SECONDS.fullmatch(written.strip()):
        return float(written)
    try:
        at = parsedate_to_datetime(written)
    except ValueError:
        return None
    return max(at.timestamp() - clock.now_us() / 1_000_000, 0.0)


def _expired(challenge: str) -> bool:
    """Whether a challenge says that a token was good and is no more (RFC 6750, 3.1)."""
    return "invalid_token" in challenge and "expired" in challenge.lower()


async def _body(response: httpx2.Response, limit: int) -> tuple[str, bool]:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(chunks).decode("utf-8", "replace"), size > limit
