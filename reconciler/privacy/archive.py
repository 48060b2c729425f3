"""Old entries in a file of their own, which can be verified without the database.

    orloj-archive/1 LOG FIRST LAST          one line
    ROOT ROOT ...                           the subtrees over what comes before, or `-`
    the raw bytes of each entry             one line each
    root HEX                                the root over everything up to LAST

Written with gzip, without a time in it, so that the same range gives the same bytes.
"""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from sqlalchemy import Connection

from runner.contract import audit, audit_entry, errors, merkle
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.merkle import Frontier

FORMAT: Final = "orloj-archive/1"
PAGE: Final = 5_000
LINE_MAX: Final = 16_777_216
_RAW = "SELECT seq, raw FROM audit_entry WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"


@dataclass(frozen=True, slots=True)
class Archive:
    """A range of entries in a file. `root` is that of the tree up to `last`."""

    log: str
    first: int
    last: int
    root: str
    digest: str


def last_before(connection: Connection, before_us: int) -> int:
    """The last entry before a moment; 0 when there is none."""
    query = "SELECT coalesce(min(seq) - 1, (SELECT max(seq) FROM audit_entry), 0)"
    query += " FROM audit_entry WHERE time >= ?"
    return int(connection.exec_driver_sql(query, (before_us,)).scalar_one() or 0)


def next_first(connection: Connection) -> int:
    """The first entry that stands in no archive yet."""
    query = "SELECT coalesce(max(last), 0) + 1 FROM audit_archive"
    return int(connection.exec_driver_sql(query).scalar_one())


def write(connection: Connection, first: int, last: int, out: Path) -> Archive:
    """Write entries `first` to `last` to a new file, and check it; Refused."""
    log, before = audit.name(connection), Frontier()
    for page in _pages(connection, 0, first - 1):
        before = before.grown([merkle.leaf(raw) for raw in page])
    tree = before
    try:
        with out.open("xb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            roots = " ".join(root.hex() for root in before.roots) or "-"
            packed.write(f"{FORMAT} {log} {first} {last}\n{roots}\n".encode())
            for page in _pages(connection, first - 1, last):
                packed.writelines(raw + b"\n" for raw in page)
                tree = tree.grown([merkle.leaf(raw) for raw in page])
            packed.write(f"root {tree.root.hex()}\n".encode())
    except FileExistsError as error:
        raise errors.Refused(f"{out} is there already: name a new file") from error
    except OSError as error:
        raise errors.Refused(f"cannot write {out}: {error.strerror}") from error
    found = read(out)
    if (found.log, found.first, found.last, found.root) != (log, first, last, tree.root.hex()):
        raise errors.Refused(
            f"{out} does not hold what was written to it: keep the log as it is"
        )
    return found


def read(file: Path) -> Archive:
    """What a file holds, checked from the first byte to the last; AuditBroken."""
    try:
        with file.open("rb") as packed:
            digest = hashlib.file_digest(packed, "sha256").hexdigest()
        with gzip.open(file, "rb") as lines:
            return _read(lines, digest)
    except (OSError, EOFError, ValueError) as error:
        raise errors.AuditBroken(f"{file} is no whole archive of a log: {error}") from error


def _read(lines: gzip.GzipFile | BinaryIO, digest: str) -> Archive:
    form, log, first, last = lines.readline(LINE_MAX).decode().split()
    if form != FORMAT:
        raise ValueError(f"its form is {form}, and this version reads {FORMAT}")
    roots = lines.readline(LINE_MAX).decode().strip()
    tree = Frontier(
        int(first) - 1, () if roots == "-" else tuple(map(bytes.fromhex, roots.split()))
    )
    for seq in range(int(first), int(last) + 1):
        raw = lines.readline(LINE_MAX).removesuffix(b"\n")
        fields = audit_entry.parsed(raw) or {}
        if fields.get("seq") != seq:
            raise ValueError(f"entry {seq} is not in its place")
        tree = tree.grown([merkle.leaf(raw)])
    if lines.read(LINE_MAX) != f"root {tree.root.hex()}\n".encode():
        raise ValueError("its root is not the one over its entries")
    return Archive(log, int(first), int(last), tree.root.hex(), f"sha256:{digest}")


def matches(connection: Connection, found: Archive) -> bool:
    """Whether the log has just these entries, from its first one on."""
    tree = Frontier()
    try:
        for page in _pages(connection, 0, found.last):
            tree = tree.grown([merkle.leaf(raw) for raw in page])
    except errors.AuditBroken:
        return False
    return (audit.name(connection), tree.root.hex()) == (found.log, found.root)


def note(connection: Connection, found: Archive, file: str, actor: str, now_us: int) -> None:
    """Write down that a range stands in an archive."""
    connection.exec_driver_sql(
        "INSERT INTO audit_archive VALUES (?, ?, ?, ?, NULL)",
        (found.first, found.last, found.digest, file),
    )
    entry = Entry(
        type=EntryType.LOG_ARCHIVED,
        actor=actor,
        commit=NO_COMMIT,
        digest=found.digest,
        outcome=f"entries {found.first} to {found.last}",
        private=(("file", file),),
    )
    audit.append(connection, [entry], now_us)


def _pages(connection: Connection, after: int, last: int) -> Iterator[list[bytes]]:
    while after < last:
        rows = connection.exec_driver_sql(_RAW, (after, last, PAGE)).all()
        if [row[0] for row in rows] != list(
            range(after + 1, after + 1 + len(rows))
        ) or not rows:
            raise errors.AuditBroken(
                f"entries after {after} are not all there; run `orloj audit verify`"
            )
        yield [bytes(row[1]) for row in rows]
        after = rows[-1][0]
