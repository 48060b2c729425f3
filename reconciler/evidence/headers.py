"""The entries of an export: their bytes, the hashes of those after them, and the parts' view.

    log ──> headers.jsonl, after.bin ──root as signed?──> parts

    headers.jsonl   the bytes that were hashed, one entry a line, neighbours included
    after.bin       the leaf hashes from there to the checkpoint, 32 bytes each

Whoever has both, and the roots before them, computes the root that the checkpoint signs:
that is done here as well, before a part sees any entry.
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

Progress = Callable[[str, int, int], None]
"""Told what is being done, with how many entries it is, and how many there are."""
Page = Sequence[tuple[int, bytes]]


def write(
    connection: Connection, scope: Scope, period: Period, before: Frontier, progress: Progress
) -> None:
    """Write the entries and hashes; AuditBroken unless they are what was signed."""
    size, tree = scope.checkpoint.size, before
    headers, after = scope.folder / HEADERS, scope.folder / AFTER
    with headers.open("wb") as lines, after.open("wb") as leaves:
        for page in _pages(connection, before.size, size):
            hashes = [merkle.leaf(raw) for _, raw in page]
            tree = tree.grown(hashes)
            for (seq, raw), digest in zip(page, hashes, strict=True):
                if seq > period.head_last:
                    leaves.write(digest)
                else:
                    lines.write(raw + b"\n")
            progress("hashed", tree.size - before.size, size - before.size)
    if (tree.size, tree.root) != (size, scope.checkpoint.root):
        raise errors.AuditBroken(
            f"the first {size} entries of the audit log are not those that were signed, so"
            " nothing was exported; run `orloj audit verify`"
        )


def show(scope: Scope, period: Period, parts: Sequence[Part], progress: Progress) -> None:
    """Show the entries of the period to the parts: what was written, and so what was signed."""
    count = period.head_last - period.head_first + 1
    with (scope.folder / HEADERS).open("rb") as lines:
        for seq, line in enumerate(lines, period.head_first):
            if scope.first <= seq <= scope.last:
                entry = audit.stored(seq, line[:-1])
                for part in parts:
                    part.take(entry)
            progress("read", seq - period.head_first + 1, count)


def _pages(connection: Connection, after: int, last: int) -> Iterator[Page]:
    while after < last:
        rows = connection.exec_driver_sql(_RAW, (after, last, _PAGE)).all()
        if not rows:
            return
        yield [(row[0], bytes(row[1])) for row in rows]
        after = rows[-1][0]
