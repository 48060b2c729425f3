"""What a call of memory lets a model embed, as an upper bound of tokens. Pure.

It is known from the arguments before the call: what is written, each piece of a document with
its overlap, or the query. A memory that compares by letters or words asks no model.
"""

from collections.abc import Mapping
from typing import Any, Final

from runner.contract.errors import OrlojError
from runner.governance import memories
from runner.limit.limits import Ask
from runner.manifest_set import ManifestSet, PlacedAgent
from runner.model_choice import Choice

AROUND: Final = 16
"""Tokens that a model may put around a text."""
_CHUNK, _OVERLAP = 1_000, 200


def asked(manifests: ManifestSet, agent: PlacedAgent, tool: str) -> Choice | None:
    """Who is asked for embeddings by a call; None: nobody, or the call is not made at all."""
    if tool not in {"memory.write", "memory.ingest", "memory.search"}:
        return None
    try:
        found = memories.embedder(manifests, memories.of(manifests, agent))
    except OrlojError:
        return None
    if found is None or found.endpoint.provider == "mock":
        return None
    return Choice(found.key, found.endpoint, found.model, agent.at("/spec/memory/ref"))


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
