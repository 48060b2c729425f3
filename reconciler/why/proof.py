"""How well the entries of a walk are proved: each in the tree of a signed checkpoint.

    entries ─> the smallest checkpoint over all of them ─> is it signed by a key of the log?
        └──> inclusion proof of each, checked against its root ─> who else has seen it?

An entry that is too young for a checkpoint is said to be open, never taken as proved.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler.proof import checkpoints, keys
from reconciler.proof.inclusion import Tree
from runner.contract import audit, errors, merkle

PUBLISHED: Final = (
    "SELECT min(size) FROM checkpoint WHERE published_at IS NOT NULL AND size >= ?"
)


@dataclass(frozen=True, slots=True)
class Proved:
    """What is known of one entry. `index` is its leaf, counted from 0.

    `state` is `included`, `open` (no checkpoint covers it yet), `excluded` (what stands
    there is not what was signed) or `unsigned` (no checkpoint can be believed).
    """

    seq: int
    index: int
    leaf: str
    state: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The checkpoint that the entries were held against, and what came of it.

    `published_size` is the smallest published checkpoint over all that is covered.
    """

    log: str
    entries: tuple[Proved, ...]
    size: int | None = None
    root: str | None = None
    signed_at: int | None = None
    published_size: int | None = None
    published_at: int | None = None
    key: str | None = None
    fault: str | None = None

    @property
    def holds(self) -> bool:
        """Whether every entry is proved."""
        return bool(self.entries) and all(one.state == "included" for one in self.entries)


def proof(connection: Connection, seqs: Iterable[int]) -> Proof:
    """The proof status of entries, by number; what does not hold is said, never raised."""
    wanted, log = sorted(set(seqs)), audit.name(connection)
    newest = checkpoints.newest(connection)
    if newest is None or not wanted:
        return Proof(log, tuple(_bare(connection, seq, "open") for seq in wanted))
    covered = [seq for seq in wanted if seq <= newest.size]
    chosen = checkpoints.covering(connection, covered[-1]) if covered else newest
    assert chosen is not None, "the newest checkpoint covers what it covers"
    try:
        known = keys.known(connection)
        said = checkpoints.trusted(chosen, [one.key for one in known], log)
        tree = Tree(connection, said.size)
        found = tuple(_proved(connection, tree, said.root, seq) for seq in wanted)
    except errors.AuditBroken as broken:
        bare = tuple(_bare(connection, seq, "unsigned") for seq in wanted)
        return Proof(log, bare, chosen.size, fault=str(broken))
    published_size, published_at = _published(connection, covered[-1] if covered else 1)
    return Proof(
        *(log, found, said.size, said.root.hex(), chosen.signed_at),
        *(published_size, published_at, str(known[-1].key)),
    )


def _proved(connection: Connection, tree: Tree, root: bytes, seq: int) -> Proved:
    bare = _bare(connection, seq, "open")
    if seq > tree.size:
        return bare
    path, digest = tree.path(seq - 1), bytes.fromhex(bare.leaf)
    fits = merkle.included(digest, seq - 1, tree.size, path, root)
    return Proved(seq, seq - 1, bare.leaf, "included" if fits else "excluded")


def _bare(connection: Connection, seq: int, state: str) -> Proved:
    query = "SELECT raw FROM audit_entry WHERE seq = ?"
    raw = connection.exec_driver_sql(query, (seq,)).scalar_one()
    data = bytes(raw) if isinstance(raw, bytes | memoryview) else b""
    return Proved(seq, seq - 1, merkle.leaf(data).hex(), state)


def _published(connection: Connection, seq: int) -> tuple[int | None, int | None]:
    size = connection.exec_driver_sql(PUBLISHED, (seq,)).scalar_one()
    stored = None if size is None else checkpoints.covering(connection, size)
    return (None, None) if stored is None else (stored.size, stored.published_at)
