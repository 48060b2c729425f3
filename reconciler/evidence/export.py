"""An export: one tar with all that proves and explains a period of the audit log.

    asked ──cover──> period + checkpoint ──build──> folder ──pack──> OUT.unfinished
                                              log entry with its digest ──> OUT

The file gets its name when it is whole, on the disk and in the log. All else that was
written is removed, whatever happens. A period is the same bytes each time.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, Final

from reconciler.evidence import headers, notes, parts, readme, tarball, verify
from reconciler.evidence.headers import Progress
from reconciler.evidence.part import Scope
from reconciler.evidence.parts import Chosen, Sources, Wanted
from reconciler.evidence.period import Covered
from reconciler.git.mirror import mirror_folder
from reconciler.proof import keeper
from runner.contract import audit, audit_entry, clock, errors
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.database import Database
from runner.contract.merkle import Frontier
from runner.contract.settings import DEFAULT_SOURCE

FORMAT: Final = "orloj-audit-bundle/1"
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written; `entry` is the number of the entry that tells of it.

    `remark` says why something that was asked for is not in it; empty: all is.
    """

    covered: Covered
    digest: str
    size_bytes: int
    entry: int
    disclosed: int
    erased: int
    remark: str


def write(
    database: Database,
    covered: Covered,
    out: Path,
    wanted: Wanted,
    *,
    actor: str,
    progress: Progress,
) -> Exported:
    """Write the export of a period to a file and to the log; Refused, AuditBroken."""
    with _beside(out) as folder:
        top = folder / covered.period.title
        top.mkdir()
        with database.read() as connection, contextlib.ExitStack() as files:
            sources = Sources(connection, database.home, folder / "scratch", files)
            made = _build(sources, covered, top, wanted, progress)
        tarball.list_hashes(top)
        unfinished = folder / out.name
        with unfinished.open("wb") as file:
            digest = tarball.pack(top, file, covered.period.until_us // _SECOND_US)
            _durable(file)
        entry = _tell(database, covered, digest, actor)
        unfinished.replace(out)
        _durable_name(out)
    shown = made.disclosures
    size_bytes = out.stat().st_size
    return Exported(
        covered, digest, size_bytes, entry, shown.shown, shown.erased, made.report.remark
    )


def _build(
    sources: Sources, covered: Covered, top: Path, wanted: Wanted, progress: Progress
) -> Chosen:
    connection, asked = sources.connection, covered.period
    mirror = mirror_folder(sources.home, DEFAULT_SOURCE) / "mirror.git"
    scope = Scope(
        *(asked.log, asked.since_us, asked.until_us, asked.first, asked.last),
        checkpoint=covered.checkpoint,
        folder=top,
        mirror=mirror if mirror.is_dir() else None,
    )
    before = keeper.stored(connection, asked.head_first - 1).frontier
    (top / "bundle.json").write_text(_description(covered, before), encoding="ascii")
    (top / "README.txt").write_text(readme.text(scope), encoding="utf-8")
    shutil.copyfile(verify.__file__, top / "verify.py")
    notes.write(connection, covered, top)
    headers.write(connection, scope, asked, before, progress)
    made = parts.chosen(scope, sources, wanted)
    headers.show(scope, asked, made.all, progress)
    for part in made.all:
        part.end()
    return made


def _description(covered: Covered, before: Frontier) -> str:
    asked = covered.period
    return audit_entry.canonical(
        {
            "format": FORMAT,
            "log": asked.log,
            "since_us": asked.since_us,
            "until_us": asked.until_us,
            "first": asked.first,
            "last": asked.last,
            "size": covered.checkpoint.size,
            "before": [root.hex() for root in before.roots],
            "head_first": asked.head_first,
            "head_last": asked.head_last,
            "version": metadata.version("orloj"),
        }
    )


def _tell(database: Database, covered: Covered, digest: str, actor: str) -> int:
    """Say in the log what leaves it, before it does."""
    asked = covered.period
    entry = Entry(
        type=EntryType.ACCESS_EXPORTED,
        actor=actor,
        commit=NO_COMMIT,
        resource=f"{clock.iso(asked.since_us)}/{clock.iso(asked.until_us)}",
        digest=f"sha256:{digest}",
    )
    with database.write() as connection:
        end = audit.append(connection, [entry], clock.now_us())
    assert end is not None, "one entry was appended"
    return end[0]


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder on the same disk as the file, which is gone afterwards; Refused.

    Not in the folder for temporary files, which may be memory.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.unfinished-", dir=out.parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
    except OSError as error:
        raise errors.Refused(f"cannot write {out}: {error.strerror}") from error


def _durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _durable_name(out: Path) -> None:
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
