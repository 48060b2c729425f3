"""The vectors of texts: by the ModelEndpoint that a Memory names, or by their letters."""

import asyncio
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runner.contract.kinds.base import SecretAuth
from runner.contract.memory_entry import Space
from runner.governance.memories import Embedder
from runner.memory import letters, ranking

_ENDPOINTS: Final = "runner.models.embeddings"
TOGETHER: Final = 64
"""Texts that are embedded by letters before others of the worker have their turn."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of texts, in order, by whom, and the tokens they took, if those are known."""

    packed: list[bytes]
    space: Space
    tokens: int = 0
    counted: bool = True


def by_letters(embedder: Embedder | None) -> bool:
    """Whether no endpoint is asked; the provider `mock` stands for none."""
    return embedder is None or embedder.endpoint.provider == "mock"


async def embed(embedder: Embedder | None, key: str | None, texts: Sequence[str]) -> Vectors:
    """The vectors of texts; ToolFailed. `key` is the API key of the endpoint."""
    if embedder is None or by_letters(embedder):
        packed: list[bytes] = []
        for at in range(0, len(texts), TOGETHER):
            packed += [ranking.packed(letters.vector(text)) for text in texts[at:][:TOGETHER]]
            await asyncio.sleep(0)
        return Vectors(packed, letters.SPACE)
    # Its client takes half a second to import: only who embeds by an endpoint pays for it.
    endpoints = importlib.import_module(_ENDPOINTS)
    made = await endpoints.embed(embedder.endpoint, embedder.model, key, texts)
    place = f"{embedder.key.namespace}/{embedder.key.name}"
    space = Space(f"{embedder.model} of {place}", len(made.vectors[0]))
    packed = [ranking.packed(vector) for vector in made.vectors]
    return Vectors(packed, space, made.tokens, made.counted)


def auth_of(embedder: Embedder | None) -> SecretAuth | None:
    """The secret that the endpoint is asked with."""
    return None if embedder is None or by_letters(embedder) else embedder.endpoint.auth
