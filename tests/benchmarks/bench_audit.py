"""What the audit log costs: durable appends against bare commits of the same disk.

.venv/bin/python tests/benchmarks/bench_audit.py [--entries 20000] [--tasks 20000] [--rounds 3]

*Bare* is sqlite3 with WAL and synchronous=FULL that commits one row of one column, one by
one. Ours goes through the connection that a dispatcher holds: `BEGIN IMMEDIATE`, the entry
with its hash and its number within its task, `COMMIT`. Rounds take turns, so that a slow
moment of the machine strikes both; medians. Last, what the log adds to a task that does nothing
else: the real runner drains a queue with its log, and with `append` taken out of it.
"""

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from home import opened
from ours import HERE, Ours

from runner.contract import audit
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

COMMIT = "c" * 40


def bare(folder: Path, count: int) -> float:
    """Durable commits a second of one small row."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS line (at INTEGER)")
    started = time.perf_counter()
    for number in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO line VALUES (?)", (number,))
        connection.execute("COMMIT")
    rate = count / (time.perf_counter() - started)
    connection.close()
    return rate


def entries(count: int, first: int, private: bool) -> list[Entry]:
    """Decisions of tasks of eight calls each, as a guard writes them."""
    return [
        Entry(
            type=EntryType.ACTION_DECIDED,
            actor="runner@host",
            commit=COMMIT,
            task=f"01task{(first + number) // 8:020d}",
            attempt=1,
            step=number % 8,
            agent="compliance-checker",
            tool="flag-issues",
            decision="allow",
            rule="agents/compliance-checker.yaml:14",
            manifests="sha256:" + "d" * 64,
            private=(("arguments", {"file": "contract.pdf"}),) if private else (),
        )
        for number in range(count)
    ]


def ours(database: Database, count: int, batch: int, private: bool = False) -> float:
    """Durable entries a second through one connection."""
    with database.connect() as connection:
        made = entries(count, 0, private)
        started = time.perf_counter()
        for first in range(0, count, batch):
            with database.writing(connection):
                audit.append(connection, made[first : first + batch], 1_800_000_000_000_000)
        return count / (time.perf_counter() - started)


class Unlogged(Ours):
    """A home whose runner writes no entries."""

    def command(self, tally: Path | None = None) -> list[str]:
        return [sys.executable, str(HERE / "unlogged_runner.py"), str(self.home.folder)]


def drained(kind: type[Ours], count: int) -> float:
    """Tasks a second that two workers which do nothing finish, durably."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        measured = kind(Path(name))
        measured.submit(count)
        with measured.runner(2):
            measured.settle()
        rate, _ = measured.drained()
        measured.close()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        database = opened(folder)
        single = given.entries // 10
        measured: dict[str, Callable[[], float]] = {
            "bare commits": lambda: bare(folder, single),
            "one by one": lambda: ours(database, single, 1),
            "one by one, with a private value": lambda: ours(database, single, 1, True),
            "64 together": lambda: ours(database, given.entries, 64),
            "64 together, each with a private value": lambda: ours(
                database, given.entries, 64, True
            ),
            "1000 together": lambda: ours(database, given.entries, 1_000),
        }
        rates: dict[str, list[float]] = {what: [] for what in measured}
        for _ in range(given.rounds):
            for what, measure in measured.items():
                rates[what].append(measure())
        database.close()
    raw = statistics.median(rates["bare commits"])
    for what, found in rates.items():
        rate = statistics.median(found)
        print(f"{what:<40} {rate:>10,.0f}/s  {rate / raw:>6.2f} of bare commits")
    kinds = {"tasks with the log": Ours, "tasks without it": Unlogged}
    drains = {
        what: statistics.median(drained(kind, given.tasks) for _ in range(given.rounds))
        for what, kind in kinds.items()
    }
    for what, rate in drains.items():
        print(f"{what:<40} {rate:>10,.0f}/s  {1e6 / rate:>6.1f} us each")


if __name__ == "__main__":
    main()
