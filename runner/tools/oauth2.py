"""Tokens for oauth2_client_credentials: asked for once, kept in memory until they run out.

    known and fresh? ──yes──> it        no ──> POST tokenURL (RFC 6749, 4.4) ──> kept

The token endpoint is asked through the same door as a tool, follows no redirect, and its
words are never repeated: they may hold what it was sent. Calls that need the same token at
once ask once. Nothing is written anywhere.
"""

import asyncio
import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

from runner.contract import clock
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds.network import Network
from runner.contract.telemetry import hide
from runner.tools import egress, exchange, redirect
from runner.tools.exchange import Reply
from runner.tools.redirect import Question

FETCH_S: Final = 30.0
MARGIN_S: Final = 30.0
UNSAID_S: Final = 300.0
"""How long a token is believed that says nothing of its end."""
KEPT_S_MAX: Final = 86_400.0
TOKENS_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 65_536

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_ERROR: Final = re.compile(r"[a-z_]{1,64}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is asked for with; a token is kept for each tool and each of its secrets."""

    tool: str
    url: str
    scopes: tuple[str, ...]
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    private: tuple[str, ...] = ()


_known: dict[Grant, tuple[str, int]] = {}
_asked: dict[Grant, asyncio.Task[str]] = {}


async def token(grant: Grant) -> str:
    """A token that is good as far as anybody knows; ToolFailed."""
    value, until_us = _known.get(grant, ("", 0))
    if clock.boot_us() < until_us:
        return value
    asking = _asked.get(grant)
    if asking is None or asking.done() or asking.get_loop() is not asyncio.get_running_loop():
        asking = asyncio.create_task(_fetched(grant))
        # Whoever waits hears how it ended; when nobody does any more, nobody need.
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        _asked[grant] = asking
    try:
        # One call that is cut off must not take the token from the others.
        return await asyncio.shield(asking)
    finally:
        if asking.done() and _asked.get(grant) is asking:
            del _asked[grant]


def forget(grant: Grant, value: str) -> None:
    """Believe a token no longer; one that came in its place meanwhile is kept."""
    if _known.get(grant, ("", 0))[0] == value:
        del _known[grant]


async def _fetched(grant: Grant) -> str:
    place = f"the token endpoint {redirect.shown(grant.url)}"
    started_us = clock.boot_us()
    try:
        async with asyncio.timeout(FETCH_S):
            reply = await _reply(grant, place)
    except TimeoutError:
        raise ToolFailed(
            f"{place} did not answer within {FETCH_S:g} s",
            code=ToolCode.TIMEOUT,
            retryable=True,
            untouched=True,
        ) from None
    except ToolFailed as error:
        # Whatever became of the question, the tool itself was not asked.
        error.untouched = True
        raise
    value, kept_s = _granted(place, reply)
    hide([value])
    while len(_known) >= TOKENS_MAX:
        del _known[next(iter(_known))]
    _known[grant] = (value, started_us + int(kept_s * 1_000_000))
    return value


async def _reply(grant: Grant, place: str) -> Reply:
    form = {"grant_type": "client_credentials"}
    if grant.scopes:
        form["scope"] = " ".join(grant.scopes)
    # Each half is encoded first, so that a colon in one of them stays one (RFC 6749, 2.3.1).
    pair = f"{quote(grant.client_id, safe='')}:{quote(grant.client_secret, safe='')}"
    question = Question(
        method="POST",
        url=grant.url,
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        authorization={
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        },
        body=urlencode(form).encode(),
    )
    where = egress.reach(grant.url, Network(private=list(grant.private)))
    return await exchange.ask(
        where, question, place=place, follow=False, bytes_max=ANSWER_BYTES_MAX
    )


def _granted(place: str, reply: Reply) -> tuple[str, float]:
    """The token, and for how many seconds it is kept; ToolFailed."""
    said = _object(reply.text)
    if not reply.success:
        error = said.get("error")
        known = isinstance(error, str) and _ERROR.fullmatch(error) is not None
        trouble = exchange.failure(place, Reply(reply.status, reply.headers, "", False), ())
        raise ToolFailed(
            f"{place} answered {reply.status}" + (f": {error}" if known else ""),
            code=trouble.code if trouble.retryable else ToolCode.AUTH_INVALID,
            retryable=trouble.retryable,
            untouched=True,
            retry_after_s=trouble.retry_after_s,
        )
    value = said.get("access_token")
    kind = said.get("token_type", "bearer")
    if (
        not isinstance(value, str)
        or not _TOKEN.fullmatch(value)
        or str(kind).lower() != "bearer"
    ):
        raise ToolFailed(
            f"{place} answered without a bearer token",
            code=ToolCode.AUTH_INVALID,
            untouched=True,
        )
    return value, _kept_s(said.get("expires_in"))


def _kept_s(said: Any) -> float:
    if isinstance(said, str) and said.isdecimal() and len(said) < 10:
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int | float) or not said >= 0:
        return UNSAID_S
    return min(max(said - MARGIN_S, said / 2), KEPT_S_MAX)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
