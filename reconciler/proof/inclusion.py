"""Proofs out of the stored log, without hashing all of it.

    root over 256 entries (`audit_subtree`) ── a proof needs one block of leaves, and roots

Many proofs out of one tree cost a few hashes each: the roots of its full subtrees are kept,
and the leaves of the last blocks that were read, so that memory does not grow with them.

A full block whose root nobody wrote down yet is hashed from its entries. Leaves are hashed
from the bytes as they are stored, never taken from their column: a proof is of what is there.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from reconciler.proof.growth import BLOCK
from runner.contract import errors, merkle

_ROOTS = "SELECT number, root FROM audit_subtree WHERE number < ? ORDER BY number"
_RAW = "SELECT seq, raw FROM audit_entry WHERE seq > ? AND seq <= ? ORDER BY seq"

_BLOCKS_KEPT: Final = 16


class Tree:
    """The tree over the first `size` entries, as one read transaction sees it."""

    def __init__(self, connection: Connection, size: int) -> None:
        self._connection, self.size = connection, size
        full = size // BLOCK
        self._blocks: dict[int, bytes] = {
            number: root for number, root in connection.exec_driver_sql(_ROOTS, (full,))
        }
        self._leaves: dict[int, list[bytes]] = {}
        self._larger: dict[
            tuple[int, int], bytes
        ] = {}  # Many proofs share what is above blocks.
        self._full: dict[tuple[int, int], bytes] = {}

    @property
    def head(self) -> bytes:
        """The root over all of it."""
        return self._root(0, self.size)

    def path(self, index: int) -> list[bytes]:
        """The path that proves an entry, by its number from 0: nearest first; IndexError."""
        if not 0 <= index < self.size:
            raise IndexError(f"a tree of {self.size} has no leaf {index}")
        path: list[bytes] = []
        first, size = 0, self.size
        while size > 1:
            split = merkle.left_size(size)
            if index < first + split:
                path.append(self._root(first + split, size - split))
                size = split
            else:
                path.append(self._root(first, split))
                first, size = first + split, size - split
        return path[::-1]

    def consistency(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """What proves that the tree of the first `old_size` entries only grew; IndexError.

        Grew to have `new_size` entries, which is all of this tree's unless it is given.
        """
        new_size = self.size if new_size is None else new_size
        if not 0 < old_size <= new_size <= self.size:
            raise IndexError(f"a tree of {new_size} never had {old_size} leaves to prove")
        proof: list[bytes] = []
        first, size, whole = 0, new_size, True
        while first + size != old_size:
            split = merkle.left_size(size)
            if old_size <= first + split:
                proof.append(self._root(first + split, size - split))
                size = split
            else:
                proof.append(self._root(first, split))
                first, size, whole = first + split, size - split, False
        if not whole:
            proof.append(self._root(first, size))
        return proof[::-1]

    def leaf(self, index: int) -> bytes:
        """The leaf hash of an entry, from its bytes."""
        return self._block(index // BLOCK)[index % BLOCK]

    def _root(self, first: int, size: int) -> bytes:
        """The root over a subtree of the tree: aligned, as every one that a proof names."""
        if size > BLOCK:
            return self._above(first, size)
        number, at = divmod(first, BLOCK)
        if size == BLOCK and at == 0 and number in self._blocks:
            return self._blocks[number]
        return merkle.root(self._block(number)[at : at + size])

    def _above(self, first: int, size: int) -> bytes:
        """The root over more than a block; that of a full subtree is kept: it never changes."""
        if (found := self._full.get((first, size))) is not None:
            return found
        split = merkle.left_size(size)
        root = merkle.node(self._root(first, split), self._root(first + split, size - split))
        if size == 2 * split:
            self._full[first, size] = root
        return root

    def _block(self, number: int) -> Sequence[bytes]:
        """The leaf hashes of a block, as far as the tree goes; AuditBroken."""
        if number not in self._leaves:
            first = number * BLOCK
            last = min(first + BLOCK, self.size)
            found = self._connection.exec_driver_sql(_RAW, (first, last)).all()
            if [seq for seq, _ in found] != list(range(first + 1, last + 1)):
                raise errors.AuditBroken(
                    f"entries {first + 1} to {last} of the audit log are not all there;"
                    " run `orloj audit verify`"
                )
            if len(self._leaves) >= _BLOCKS_KEPT:
                self._leaves.pop(next(iter(self._leaves)))
            self._leaves[number] = [merkle.leaf(bytes(raw)) for _, raw in found]
            if last - first == BLOCK:
                self._blocks.setdefault(number, merkle.root(self._leaves[number]))
        return self._leaves[number]
