"""What an export costs: entries a second against copying the same rows, and its memory.

.venv/bin/python tests/benchmarks/bench_export.py [--entries 1000000] [--rounds 1]

*Copying* reads every `raw` in order and writes it to a file with a line feed: nothing is
hashed, parsed or proven. The export is the command as a user starts it, in a process of its
own, whose largest resident size the kernel counted. A tenth of the entries is exported as
well: memory that grows with the period shows as a difference.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bundles import Log

from runner.contract import audit, clock
from runner.contract.audit_entry import Entry, EntryType

COMMIT = "c" * 40
AT_ONCE = 5_000
SECOND_US = 1_000_000


LIFE = (
    {"type": EntryType.TASK_QUEUED, "resource": "agent/default/compliance-checker"},
    {"type": EntryType.TASK_CLAIMED, "attempt": 1},
    {"type": EntryType.ACTION_REQUESTED, "step": 1},
    {"type": EntryType.ACTION_DECIDED, "step": 1, "decision": "allow", "rule": "a.yaml:14"},
    {"type": EntryType.ACTION_STARTED, "step": 1, "rule": "a.yaml:14"},
    {"type": EntryType.ACTION_EXECUTED, "step": 1, "outcome": "executed", "duration_us": 900},
    {"type": EntryType.TASK_FINISHED, "outcome": "succeeded"},
)
"""What the log says of a task with one call."""


def of_task(number: int) -> Entry:
    """The entry of this number in a period of tasks that come and end one after the other."""
    facts: dict[str, Any] = dict(LIFE[number % len(LIFE)])
    if "step" in facts:
        facts |= {"agent": "compliance-checker", "tool": "flag-issues"}
        facts |= {"permission": "write:issue_tracker", "manifests": "sha256:" + "d" * 64}
    task = f"01task{number // len(LIFE):020d}"
    return Entry(actor="runner@host", commit=COMMIT, task=task, **facts)


def fill(log: Log, count: int, first_us: int) -> None:
    """So many entries, a millisecond apart, signed now and then."""
    for start in range(0, count, AT_ONCE):
        entries = [of_task(number) for number in range(start, min(start + AT_ONCE, count))]
        with log.home.database.write() as connection:
            audit.append(connection, entries, first_us + start * 1_000)
        log.sign()


def copied(database: Path, out: Path, count: int) -> float:
    """Seconds to copy rows, and nothing else."""
    connection = sqlite3.connect(database)
    started = time.perf_counter()
    with out.open("wb") as file:
        query = "SELECT raw FROM audit_entry WHERE seq <= ? ORDER BY seq"
        for (raw,) in connection.execute(query, (count,)):
            file.write(raw + b"\n")
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - started
    connection.close()
    out.unlink()
    return seconds


def exported(home: Path, out: Path, until_us: int) -> tuple[int, float, int]:
    """How many entries `orloj audit export` wrote, in how many seconds, with how many KiB."""
    argv = [sys.executable, "-m", "reconciler", "--home", str(home), "audit", "export"]
    argv += ["--to", clock.iso(until_us), "--out", str(out), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    out.unlink()
    return json.loads(said)["entries"], seconds, usage.ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder, "home"))
        first_us = clock.now_us() - given.entries * 1_000 - 60 * SECOND_US
        fill(log, given.entries, first_us)
        log.home.close()
        for _ in range(given.rounds):
            for count in (given.entries // 10, given.entries):
                until_us = first_us + (count - 1) * 1_000 + 1
                out = Path(folder, "a.tar")
                entries, seconds, kib = exported(log.home.folder, out, until_us)
                copying = copied(log.home.folder / "orloj.db", out, entries)
                print(
                    f"{entries:>9,} entries: export {entries / seconds:>8,.0f}/s"
                    f"  copying {entries / copying:>9,.0f}/s  ratio {copying / seconds:.3f}"
                    f"  memory {kib / 1024:.0f} MiB"
                )


if __name__ == "__main__":
    main()
