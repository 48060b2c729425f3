"""Memory: what agents keep beyond a call, and how it is found again.

    guard: allowed ──> answering ──> embedding, where meaning is compared
                           └──> store: a file of the host, PostgreSQL, or an adapter over HTTP

A store keeps texts under keys. One that searches for itself (`http`) is given the query; the
others are given its vector, or its words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.contract.memory_entry import Entry, Space

__all__ = ["Entry", "Hit", "Origin", "Query", "Space", "Store"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Which call writes: its task and agent, and the key that it has when it is repeated."""

    task: str
    agent: str
    call: str


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: a text, and its vector where meaning is compared."""

    text: str
    top_k: int
    vector: bytes | None = None
    space: Space | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that was found; `score` is 1 for the same meaning, or for every word."""

    key: str
    value: str
    score: float


class Store(Protocol):
    """Where a memory is kept. Each raises Refused for what it cannot do."""

    async def read(self, key: str) -> str | None:
        """What stands under a key."""

    async def write(
        self,
        entries: Sequence[Entry],
        origin: Origin,
        space: Space | None,
        replaces: str | None = None,
    ) -> None:
        """Keep entries, all or none, once for each call; `replaces` is a prefix that goes."""

    async def search(self, query: Query) -> list[Hit]:
        """The entries nearest to a query, best first."""

    async def under(self, prefix: str, limit: int) -> list[Entry]:
        """The entries whose keys begin with a prefix, sorted by key."""

    async def forget(self, keys: Sequence[str]) -> list[str]:
        """Delete entries; the keys of those that went."""
