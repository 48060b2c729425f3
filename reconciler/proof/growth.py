"""The tree while it grows: full blocks of 256 entries, and what came after them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from runner.contract.merkle import Frontier

BLOCK: Final = 256
"""Entries whose root is written down, so that proofs need not hash them again."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A tree of `blocks`, each a leaf there, and of the leaves of a block that is not full."""

    blocks: Frontier = field(default_factory=Frontier)
    tail: Frontier = field(default_factory=Frontier)

    @property
    def size(self) -> int:
        """How many entries it has."""
        return self.blocks.size * BLOCK + self.tail.size

    @property
    def frontier(self) -> Frontier:
        """The tree as one: 256 is a power of two, so its parts stand side by side."""
        return Frontier(self.size, self.blocks.roots + self.tail.roots)

    @property
    def root(self) -> bytes:
        """The head of the tree."""
        return self.frontier.root

    def grown(self, leaves: Iterable[bytes]) -> tuple["Growth", list[tuple[int, bytes]]]:
        """The tree with these leaves after its own; number and root of each block filled."""
        blocks, tail = self.blocks, self.tail
        filled: list[tuple[int, bytes]] = []
        more = iter(leaves)
        while some := list(islice(more, BLOCK - tail.size)):
            tail = tail.grown(some)
            if tail.size == BLOCK:
                filled.append((blocks.size, tail.root))
                blocks, tail = blocks.grown([tail.root]), Frontier()
        return Growth(blocks, tail), filled
