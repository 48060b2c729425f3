"""The entries of an export: their bytes, the hashes of those after them, and the parts' view.

    headers.jsonl   the bytes that were hashed, one entry a line, neighbours included
    after.bin       the leaf hashes from there to the checkpoint, 32 bytes each

Whoever has both, and the roots before them, computes the root that the checkpoint signs:
that is done here as well, and a log that is not the one that was signed is not exported.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection

from reconciler.evidence.part import Part, Scope
from reconciler.evidence.period import Period
from runner.contract import audit, errors, merkle
from runner.contract.merkle import Frontier

HEADERS: Final = "headers.jsonl"
AFTER: Final = "after.bin"
_PAGE: Final = 2_000
_RAW = "SELECT seq, raw FROM audit_entry WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"

Progress = Callable[[int, int], None]
"""Told how many entries are done, and how many there are."""
Page = Sequence[tuple[int, bytes]]


def write(
    connection: Connection,
    scope: Scope,
    period: Period,
    before: Frontier,
    *,
    parts: Sequence[Part],
    progress: Progress,
) -> None:
    """Write the entries and show those of the period to the parts; AuditBroken."""
    size, tree = scope.checkpoint.size, before
    total, last = size - before.size, before.size
    headers, after = scope.folder / HEADERS, scope.folder / AFTER
    with headers.open("wb") as lines, after.open("wb") as leaves:
        for page in _pages(connection, before.size, size):
            hashes = [merkle.leaf(raw) for _, raw in page]
            tree, last = tree.grown(hashes), page[-1][0]
            for (seq, raw), digest in zip(page, hashes, strict=True):
                if seq > period.head_last:
                    leaves.write(digest)
                    continue
                lines.write(raw + b"\n")
                if scope.first <= seq <= scope.last:
                    _shown(audit.stored(seq, raw), parts)
            progress(last - before.size, total)
    if (tree.size, tree.root) != (size, scope.checkpoint.root):
        raise errors.AuditBroken(
            f"the first {size} entries of the audit log are not those that were signed, so"
            " nothing was exported; run `orloj audit verify`"
        )


def _shown(entry: audit.Stored, parts: Sequence[Part]) -> None:
    for part in parts:
        part.take(entry)


def _pages(connection: Connection, after: int, last: int) -> Iterator[Page]:
    while after < last:
        rows = connection.exec_driver_sql(_RAW, (after, last, _PAGE)).all()
        if not rows:
            return
        yield [(row[0], bytes(row[1])) for row in rows]
        after = rows[-1][0]
