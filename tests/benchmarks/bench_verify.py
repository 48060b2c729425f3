"""How fast a log is verified: against hashing its bytes alone, and against parsing each entry.

.venv/bin/python tests/benchmarks/bench_verify.py [--entries 300000] [--rounds 3]

All read the same SQLite file from its first row to its last. *Hashing alone* makes the tree
out of the bytes and looks at nothing else; *json.loads* parses each entry and makes no tree.
*One process* and *two processes* are the whole of `orloj audit verify`: tree, every checkpoint,
place, copies, tasks, values beside the entries. Rounds take turns; medians, and the memory that
the verifying process had at most.
"""

import argparse
import json
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench_audit import entries
from home import opened

from reconciler.proof import verification
from reconciler.proof.keeper import Keeper
from runner.contract import audit, clock, merkle, settings
from runner.contract.database import Database
from runner.contract.settings import Settings

SIGNED_EVERY = 5_000


def filled(folder: Path, count: int) -> Database:
    """A log that a keeper signed as it grew."""
    database = opened(folder)
    keeper = Keeper(settings.load(folder, {}), database, clock.now_us)
    for first in range(0, count, SIGNED_EVERY):
        more = min(SIGNED_EVERY, count - first)
        with database.write() as connection:
            made = [replace(one, actor="worker:1") for one in entries(more, first, False)]
            audit.append(connection, made, clock.now_us())
        keeper.step(at_once=True)
    return database


def rows(folder: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(folder / "orloj.db")) as connection:
        for (raw,) in connection.execute("SELECT raw FROM audit_entry ORDER BY seq"):
            yield raw


def hashed(folder: Path) -> None:
    merkle.root(map(merkle.leaf, rows(folder)))


def parsed(folder: Path) -> None:
    for raw in rows(folder):
        json.loads(raw)


def verified(database: Database, known: Settings | None) -> None:
    with database.read() as connection:
        report = verification.verify(connection, clock.now_us(), settings=known)
    assert report.holds, report.findings
    assert report.signed == report.entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        database = filled(folder, given.entries)
        measured: dict[str, Callable[[], None]] = {
            "hashing alone": lambda: hashed(folder),
            "json.loads": lambda: parsed(folder),
            "one process": lambda: verified(database, None),
            "two processes": lambda: verified(database, settings.load(folder, {})),
        }
        rates: dict[str, list[float]] = {what: [] for what in measured}
        for _ in range(given.rounds):
            for what, measure in measured.items():
                started = time.perf_counter()
                measure()
                rates[what].append(given.entries / (time.perf_counter() - started))
        database.close()
    alone = statistics.median(rates["hashing alone"])
    for what, found in rates.items():
        rate = statistics.median(found)
        print(f"{what:<16} {rate:>10,.0f}/s  {rate / alone:>5.2f} of hashing alone")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory at most   {peak_mb:>10,.0f} MB")


if __name__ == "__main__":
    main()
