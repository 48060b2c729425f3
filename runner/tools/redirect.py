"""Ask over http, and follow redirects as far as the door lets them.

    question ──answer──> no redirect: that is the answer
        ^          └───> where to? ──refused──> Refused, which names the place
        └── at most 5 times ──┘

A redirect never leads from https to http, and what proves who we are goes to the first
scheme, host and port alone. Methods change as RFC 9110, section 15.4, says.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import httpx2

from runner.contract.errors import Refused
from runner.contract.kinds import network
from runner.contract.kinds.network import Endpoint

HOPS_MAX: Final = 5
URL_CHARACTERS_MAX: Final = 2_048
"""A longer one carries more out than a question needs; servers refuse it as well."""

_SHOWN_CHARACTERS: Final = 200
_ALWAYS_GET: Final = 303
_GET_AFTER_POST: Final = frozenset({301, 302})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request. `authorization` are the headers that only the first server is shown."""

    method: str
    url: str
    headers: Mapping[str, str]
    authorization: Mapping[str, str]
    body: bytes | None = None


@asynccontextmanager
async def ask(
    client: httpx2.AsyncClient, question: Question, *, follow: bool
) -> AsyncIterator[httpx2.Response]:
    """The answer, to be read while the block runs; Refused when a redirect goes astray."""
    for _ in range(HOPS_MAX + 1):
        asked = client.build_request(
            question.method,
            question.url,
            headers={**question.headers, **question.authorization},
            content=question.body,
        )
        response = await client.send(asked, stream=True)
        try:
            next_question = onward(question, response) if follow else None
            if next_question is None:
                yield response
                return
        finally:
            await response.aclose()
        question = next_question
    raise Refused(f"more than {HOPS_MAX} redirects, the last to {shown(question.url)}")


def onward(question: Question, response: httpx2.Response) -> Question | None:
    """What to ask next; None when the answer is no redirect. Refused."""
    location = response.headers.get("Location")
    if response.status_code not in _REDIRECTS or location is None:
        return None
    try:
        target = str(httpx2.URL(question.url).join(location))
        there, here = network.endpoint(target), network.endpoint(question.url)
    except (httpx2.InvalidURL, ValueError):
        raise Refused("a redirect leads to what is no http or https address") from None
    if here.scheme == "https" and there.scheme == "http":
        raise Refused(f"a redirect leads from https to http: {shown(target)}")
    if there.user is not None or len(target) > URL_CHARACTERS_MAX:
        raise Refused(f"a redirect names a user or is too long to be followed: {shown(target)}")
    moved = replace(_restated(question, response.status_code), url=target)
    return moved if _origin(here) == _origin(there) else replace(moved, authorization={})


def _restated(question: Question, status: int) -> Question:
    """The question with the method that it has after a redirect."""
    becomes_get = (status == _ALWAYS_GET and question.method != "HEAD") or (
        status in _GET_AFTER_POST and question.method == "POST"
    )
    if not becomes_get:
        return question
    kept = {
        name: value
        for name, value in question.headers.items()
        if not name.lower().startswith("content-")
    }
    return replace(question, method="GET", body=None, headers=kept)


def _origin(place: Endpoint) -> tuple[str, str, int]:
    return place.scheme, place.host.name, place.port


def shown(url: str) -> str:
    """A place fit for an error: no user, no query, not too long."""
    try:
        return str(network.endpoint(url))[:_SHOWN_CHARACTERS]
    except ValueError:
        return "an address that is none"
