"""The Merkle tree of RFC 6962: what proves that a log only grew. Pure.

    leaf = SHA-256(0x00 ‖ entry)        node = SHA-256(0x01 ‖ left ‖ right)

A `Frontier` is all that must be remembered to go on: the roots of the full subtrees that a
tree of `size` leaves is made of, largest first, never more than 64. Hashes are 32 bytes.
Source: RFC 6962, section 2.1. Proofs are checked by the definition they are made by.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

EMPTY: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""
HASH_BYTES: Final = 32

_sha256 = hashlib.sha256


def leaf(entry: bytes) -> bytes:
    """The hash of an entry's bytes."""
    return _sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return _sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree that can grow: how many leaves it has, and the roots of its full subtrees."""

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        assert self.size >= 0
        if len(self.roots) != self.size.bit_count():
            raise ValueError(f"{len(self.roots)} subtrees cannot be a tree of {self.size}")

    def grown(self, leaves: Iterable[bytes]) -> "Frontier":
        """The tree with these leaves after its own."""
        size, roots = self.size, list(self.roots)
        pop, push = roots.pop, roots.append
        for digest in leaves:
            full = size
            while full & 1:  # Each trailing one is a full subtree to the left, as large.
                digest = _sha256(b"\x01" + pop() + digest).digest()
                full >>= 1
            push(digest)
            size += 1
        return Frontier(size, tuple(roots))

    @property
    def root(self) -> bytes:
        """The hash over all leaves: the tree head."""
        if not self.roots:
            return EMPTY
        *before, digest = self.roots
        for left in reversed(before):
            digest = node(left, digest)
        return digest


def root(leaves: Iterable[bytes]) -> bytes:
    """The tree head over these leaf hashes."""
    return Frontier().grown(leaves).root


def perfect(leaves: Sequence[bytes]) -> bytes:
    """The tree head over a power of two of leaf hashes, level by level: twice as fast."""
    assert leaves
    assert len(leaves).bit_count() == 1, "levels are whole"
    level = leaves
    while len(level) > 1:
        pairs = iter(level)
        level = [
            _sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=True)
        ]
    return level[0]


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path that proves a leaf, by its number from 0, part of the tree: nearest first."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"a tree of {len(leaves)} has no leaf {index}")
    if len(leaves) == 1:
        return []
    split = left_size(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if index < split:
        return [*inclusion(left, index), root(right)]
    return [*inclusion(right, index - split), root(left)]


def consistency(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """What proves that the tree of the first `old_size` leaves only grew to be this one."""
    if not 0 < old_size <= len(leaves):
        raise IndexError(f"a tree of {len(leaves)} never had {old_size} leaves to prove")
    return [] if old_size == len(leaves) else _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root(leaves)]
    split = left_size(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if old_size <= split:
        return [*_subproof(left, old_size, whole=whole), root(right)]
    return [*_subproof(right, old_size - split, whole=False), root(left)]


def left_size(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def included(digest: bytes, index: int, size: int, path: Sequence[bytes], head: bytes) -> bool:
    """Whether a path proves that a leaf hash has this number in the tree with this head."""
    if not 0 <= index < size:
        return False
    steps = list(path)
    try:
        found = _above(digest, index, size, steps)
    except IndexError:  # It is shorter than such a tree is high.
        return False
    return not steps and found == head


def _above(digest: bytes, index: int, size: int, steps: list[bytes]) -> bytes:
    """The root that a path leads to; what is farthest from the leaf stands last in it."""
    if size == 1:
        return digest
    split, beside = left_size(size), steps.pop()
    if index < split:
        return node(_above(digest, index, split, steps), beside)
    return node(beside, _above(digest, index - split, size - split, steps))


def consistent(
    old_size: int, old_head: bytes, size: int, head: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether a proof shows that the tree with the old head only grew to have the new one.

    Nothing is proved of an empty tree: every tree grew from it.
    """
    if not 0 < old_size <= size:
        return False
    steps = list(proof)
    try:
        found = _both(old_head, old_size, size, steps, whole=True)
    except IndexError:
        return False
    return not steps and found == (old_head, head)


def _both(
    old_head: bytes, old_size: int, size: int, steps: list[bytes], *, whole: bool
) -> tuple[bytes, bytes]:
    """The roots of the old tree and of the new one that a proof leads to."""
    if old_size == size:
        same = old_head if whole else steps.pop()
        return same, same
    split, beside = left_size(size), steps.pop()
    if old_size <= split:
        old, new = _both(old_head, old_size, split, steps, whole=whole)
        return old, node(new, beside)
    old, new = _both(old_head, old_size - split, size - split, steps, whole=False)
    return node(beside, old), node(beside, new)
