"""Memories behind an adapter that speaks the public protocol over HTTP.

    POST /put {key, value}          POST /get {key}         -> {found, value}
    POST /search {query, top_k}     -> {results: [{key, value, score}]}
    POST /list {prefix}             -> {entries: [{key, value}]}

The adapter keeps and compares by its own means. It is reached through the door of all calls
(`tools/egress`): the declared host and nowhere else, no redirect. A write carries an
`Idempotency-Key`, the same when it is repeated; what that is worth is for the adapter.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from runner.contract import seal
from runner.contract.errors import Refused, ToolFailed
from runner.contract.kinds.network import Network
from runner.memory import Entry, Hit, Origin, Query, Space
from runner.tools import egress, redirect
from runner.tools.redirect import Question

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
_SAID_CHARACTERS: Final = 300
_RETRYABLE_STATUS: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class HttpStore:
    """One memory behind an adapter."""

    endpoint: str
    network: Network
    secret: str | None = field(repr=False)

    async def read(self, key: str) -> str | None:
        """What stands under a key."""
        answer = await self._ask("get", {"key": key})
        if answer.get("found") is not True:
            return None
        return _text(answer, "value")

    async def write(
        self,
        entries: Sequence[Entry],
        origin: Origin,
        space: Space | None,
        replaces: str | None = None,
    ) -> None:
        """Keep entries one by one, in order; nothing is deleted, the protocol has no word."""
        for at, one in enumerate(entries):
            call = origin.call if len(entries) == 1 else f"{origin.call}:{at}"
            await self._ask("put", {"key": one.key, "value": one.value}, call)

    async def search(self, query: Query) -> list[Hit]:
        """The entries nearest to a query, as the adapter orders them."""
        answer = await self._ask("search", {"query": query.text, "top_k": query.top_k})
        found = _items(answer, "results")[: query.top_k]
        return [Hit(_text(one, "key"), _text(one, "value"), _score(one)) for one in found]

    async def under(self, prefix: str, limit: int) -> list[Entry]:
        """The entries whose keys begin with a prefix."""
        answer = await self._ask("list", {"prefix": prefix})
        entries = [
            Entry(_text(one, "key"), _text(one, "value")) for one in _items(answer, "entries")
        ]
        return entries[:limit]

    async def forget(self, keys: Sequence[str]) -> list[str]:
        """Refused: the protocol has no word for it."""
        raise Refused(
            f"the adapter at {redirect.shown(self.endpoint)} cannot be told to delete: its"
            " protocol has no word for it; delete there"
        )

    async def _ask(self, what: str, body: dict[str, Any], call: str = "") -> dict[str, Any]:
        place = redirect.shown(self.endpoint)
        question = self._question(what, body, call)
        try:
            async with (
                egress.client(egress.reach(self.endpoint, self.network)) as client,
                redirect.ask(client, question, follow=False) as response,
            ):
                answer = await _body(response)
        except Refused as error:
            raise ToolFailed(f"{place} cannot be asked: {error}") from None
        except httpx2.HTTPError as error:
            name = type(error).__name__
            raise ToolFailed(f"{place} cannot be reached: {name}", retryable=True) from None
        if not response.is_success:
            hidden = () if self.secret is None else (self.secret,)
            raise ToolFailed(
                f"{place} answered {response.status_code} to {what}:"
                f" {seal.excerpt(answer, _SAID_CHARACTERS, hidden)}",
                retryable=response.status_code in _RETRYABLE_STATUS
                or response.status_code >= 500,
            )
        return _object(answer, place)

    def _question(self, what: str, body: dict[str, Any], call: str) -> Question:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if call:
            headers["Idempotency-Key"] = call
        proof = {} if self.secret is None else {"Authorization": f"Bearer {self.secret}"}
        return Question(
            method="POST",
            url=f"{self.endpoint.rstrip('/')}/{what}",
            headers=headers,
            authorization=proof,
            body=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        )


async def _body(response: httpx2.Response) -> str:
    found = bytearray()
    async for chunk in response.aiter_raw():
        found += chunk
        if len(found) > ANSWER_BYTES_MAX:
            raise Refused(f"its answer is longer than {ANSWER_BYTES_MAX} bytes")
    return found.decode("utf-8", "replace")


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ToolFailed(f"{place} did not answer with a JSON object")
    return answer


def _items(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = answer.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ToolFailed(f"the adapter's {name} is no list of objects")
    return found


def _text(item: dict[str, Any], name: str) -> str:
    found = item.get(name)
    if not isinstance(found, str):
        raise ToolFailed(f"the adapter answered with a {name} that is no text")
    return found


def _score(item: dict[str, Any]) -> float:
    found = item.get("score", 0.0)
    return float(found) if isinstance(found, int | float) else 0.0
