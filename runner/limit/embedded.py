"""What a call of memory lets a model embed, as an upper bound of tokens. Pure.

It is known from the arguments before the call: what is written, each piece of a document with
its overlap, or the query. A memory that compares by letters or words asks no model.
"""

from collections.abc import Mapping
from typing import Any, Final

from runner.contract.errors import OrlojError
from runner.governance import memories
from runner.governance.memories import Embedder
from runner.limit.limits import Ask
from runner.manifest_set import ManifestSet, PlacedAgent

AROUND: Final = 16
"""Tokens that a model may put around a text."""
_CHUNK, _OVERLAP = 1_000, 200


def embedder(manifests: ManifestSet, agent: PlacedAgent, tool: str) -> Embedder | None:
    """Who is asked for embeddings by a call; None: nobody, or the call is not made at all."""
    if tool not in {"memory.write", "memory.ingest", "memory.search"}:
        return None
    try:
        place = memories.of(manifests, agent)
        found = memories.embedder(manifests, place)
    except OrlojError:
        return None
    return None if found is None or found.endpoint.provider == "mock" else found


def ask(tool: str, arguments: Mapping[str, Any]) -> Ask:
    """What an embedding takes: every byte a token at most, and no answer that costs."""
    size, pieces = _size(tool, arguments)
    around = AROUND * pieces
    return Ask(size + around, -(-size * 11 // 30) + around, 0)


def _size(tool: str, arguments: Mapping[str, Any]) -> tuple[int, int]:
    if tool != "memory.ingest":
        return _bytes(arguments.get("value" if tool == "memory.write" else "query")), 1
    content = arguments.get("content")
    chunk = _number(arguments.get("chunk_size"), _CHUNK)
    step = max(chunk - _number(arguments.get("overlap"), _OVERLAP), 1)
    length = len(content) if isinstance(content, str) else 0
    # A character stands in so many pieces at most.
    return _bytes(content) * -(-max(chunk, 1) // step), length // step + 1


def _bytes(text: Any) -> int:
    return len(text.encode("utf-8", "replace")) if isinstance(text, str) else 0


def _number(value: Any, default: int) -> int:
    return value if type(value) is int and value >= 0 else default
