"""Answers the `memory.*` tools, after the guard allowed the call.

    arguments ──checked──> embedded, where meaning is compared ──> store ──> JSON, bounded

A write names its call (`task:step`), so that one repeated after a crash changes nothing twice.
What is too large, too many or not understood is an error that says so; an answer that would be
too long is shorter and says `truncated`.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runner.builtin_call import BuiltinCall
from runner.contract.errors import Refused, ToolFailed
from runner.governance import memories
from runner.governance.memories import Embedder, Place
from runner.memory import Entry, Hit, Origin, Query, Store, embedding, pieces, stores
from runner.memory.embedding import Vectors
from runner.tools import Answered

TIMEOUT_S: Final = 120.0
TOP_K: Final = 5
TOP_K_MAX: Final = 50
LISTED_MAX: Final = 200
QUERY_MAX: Final = 8_000


@dataclass(frozen=True, slots=True)
class _Work:
    """A call, the memory it works on, and who embeds for it."""

    call: BuiltinCall
    place: Place
    store: Store
    embedder: Embedder | None

    @property
    def embeds(self) -> bool:
        """Whether entries and queries get a vector here."""
        return self.place.spec.type == "vector" and self.place.spec.provider != "http"

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts."""
        auth = embedding.auth_of(self.embedder)
        key = None
        if auth is not None and self.embedder is not None:
            key = self.call.secret(auth, self.embedder.key.namespace)
        return await embedding.embed(self.embedder, key, texts)

    def text(self, name: str, default: str | None = None) -> str:
        """A text among the arguments; ToolFailed."""
        found = self.call.arguments.get(name, default)
        if not isinstance(found, str):
            raise ToolFailed(f"{name} must be a text")
        return found

    def number(self, name: str, default: int) -> int:
        """A whole number among the arguments; ToolFailed."""
        found = self.call.arguments.get(name, default)
        if not isinstance(found, int) or isinstance(found, bool):
            raise ToolFailed(f"{name} must be a whole number")
        return found


async def answer(call: BuiltinCall) -> Answered:
    """What memory says, as JSON; ToolFailed."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            work = _work(call)
            said, made = await _OPERATIONS[call.tool.partition(".")[2]](work)
    except TimeoutError:
        raise ToolFailed(f"no answer within {TIMEOUT_S:g} s", retryable=True) from None
    except Refused as error:
        raise ToolFailed(str(error)) from None
    text = json.dumps(said, ensure_ascii=False)
    if made is None:
        return Answered(text)
    return Answered(text, tokens=made.tokens, counted=made.counted)


def _work(call: BuiltinCall) -> _Work:
    place = memories.of(call.manifests, call.agent)
    ground = stores.Ground(call.bounds.memory, call.bounds.memory_entries_max)
    store = stores.store(place, stores.name(place, call.task), ground, call.secret)
    return _Work(call, place, store, memories.embedder(call.manifests, place))


async def _read(work: _Work) -> tuple[dict[str, Any], Vectors | None]:
    key = pieces.key(work.text("key"))
    value = await work.store.read(key)
    if value is None:
        return {"found": False, "key": key}, None
    room = work.call.bounds.output_bytes_max - _size({"found": True, "key": key}) - 64
    kept = _cut(value, room)
    said = {"found": True, "key": key, "value": kept}
    return said if kept == value else said | {"truncated": True}, None


async def _write(work: _Work) -> tuple[dict[str, Any], Vectors | None]:
    key = pieces.key(work.text("key"))
    value = pieces.value(work.text("value"), work.call.bounds.memory_value_bytes_max)
    made = await _keep(work, [(key, value)])
    return {"status": "ok", "key": key}, made


async def _ingest(work: _Work) -> tuple[dict[str, Any], Vectors | None]:
    source = pieces.key(work.text("source"), "source")
    cut = pieces.cut(
        work.text("content"),
        work.number("chunk_size", pieces.CHUNK),
        work.number("overlap", pieces.OVERLAP),
    )
    bytes_max = work.call.bounds.memory_value_bytes_max
    entries = [
        (pieces.key(key), pieces.value(piece, bytes_max))
        for key, piece in pieces.named(source, cut)
    ]
    # Pieces of a longer text under this name would be found as if they were of this one.
    made = await _keep(work, entries, replaces=f"{source}/chunk-")
    return {"status": "ok", "source": source, "chunks_stored": len(entries)}, made


async def _keep(
    work: _Work, texts: Sequence[tuple[str, str]], replaces: str | None = None
) -> Vectors | None:
    """Keep texts by key; their vectors, where meaning is compared."""
    made = await work.vectors([value for _, value in texts]) if work.embeds else None
    packed: Sequence[bytes | None] = [None] * len(texts) if made is None else made.packed
    entries = [
        Entry(key, value, vector=vector)
        for (key, value), vector in zip(texts, packed, strict=True)
    ]
    call = work.call
    origin = Origin(call.task, call.manifests.called(call.agent), _key(call))
    await work.store.write(entries, origin, None if made is None else made.space, replaces)
    return made


def _key(call: BuiltinCall) -> str:
    """The same for this very call whenever it is made, and for no other.

    After a crash a task may give the number of a step to another call of its; were the number
    all, that one would pass for done.
    """
    said = json.dumps([call.tool, call.arguments], sort_keys=True).encode()
    return f"{call.idempotency_key}:{hashlib.sha256(said).hexdigest()[:16]}"


async def _search(work: _Work) -> tuple[dict[str, Any], Vectors | None]:
    text, top_k = work.text("query"), work.number("top_k", TOP_K)
    if not 0 < len(text) <= QUERY_MAX:
        raise ToolFailed(f"query has 1 to {QUERY_MAX} characters")
    if not 1 <= top_k <= TOP_K_MAX:
        raise ToolFailed(f"top_k is 1 to {TOP_K_MAX}")
    made = await work.vectors([text]) if work.embeds else None
    query = (
        Query(text, top_k)
        if made is None
        else Query(text, top_k, vector=made.packed[0], space=made.space)
    )
    hits = [_hit(hit) for hit in await work.store.search(query)]
    return _bounded("results", hits, work), made


def _hit(hit: Hit) -> dict[str, Any]:
    return {"key": hit.key, "value": hit.value, "score": hit.score}


async def _list(work: _Work) -> tuple[dict[str, Any], Vectors | None]:
    prefix = pieces.prefix(work.text("prefix", ""))
    found = await work.store.under(prefix, LISTED_MAX + 1)
    said = _bounded(
        "entries", [{"key": one.key, "value": one.value} for one in found[:LISTED_MAX]], work
    )
    return said if len(found) <= LISTED_MAX else said | {"truncated": True}, None


def _bounded(name: str, items: list[dict[str, Any]], work: _Work) -> dict[str, Any]:
    """As many of the items as an answer takes; the last may be cut."""
    room = work.call.bounds.output_bytes_max - 128
    kept: list[dict[str, Any]] = []
    for item in items:
        size = _size(item) + 2
        if size > room:
            kept += [item | {"value": cut} for cut in [_cut(item["value"], room - 256)] if cut]
            return {name: kept, "count": len(kept), "truncated": True}
        room -= size
        kept.append(item)
    return {name: kept, "count": len(kept)}


def _cut(text: str, room: int) -> str:
    """The beginning of a text that takes no more bytes than that as JSON."""
    while text and len(json.dumps(text, ensure_ascii=False).encode()) > max(room, 0):
        over = len(json.dumps(text, ensure_ascii=False).encode()) - max(room, 0)
        text = text[: max(len(text) - max(over // 4, 1), 0)]
    return text


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


_OPERATIONS: Final = {
    "read": _read,
    "write": _write,
    "search": _search,
    "list": _list,
    "ingest": _ingest,
}
