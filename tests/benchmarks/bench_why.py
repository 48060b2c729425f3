"""How long `orloj why` looks for a call on a long log, beside the raw reads that it makes.

.venv/bin/python tests/benchmarks/bench_why.py [--entries 1000000] [--rounds 15]

A real run under a signed commit is written first; then the log grows around it by the real
append, and the keeper signs it. *Raw* reads the same entries, roots and rows by bare
statements and asks Git the same questions, without looking at any of it. The start of the
process is left out: 0.6 s, whatever is asked. Medians.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench_audit import entries
from sqlalchemy import Connection
from why_world import WhyWorld

from reconciler.cli.judging import Judge
from reconciler.why import call as calls
from reconciler.why import entries as logged
from reconciler.why import walk, whole
from runner.contract import audit, clock, settings

BATCH = 2_000


def fill(world: WhyWorld, count: int) -> None:
    """Let the log grow by the real append, then sign it."""
    with world.home.database.connect() as connection:
        for first in range(0, count, BATCH):
            made = entries(min(BATCH, count - first), first, private=False)
            with world.home.database.writing(connection):
                audit.append(connection, made, clock.now_us())
    world.sign()


def median_ms(rounds: int, once: Callable[[], object]) -> float:
    """The median of some rounds, after one that nobody counts."""
    once()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        once()
        found.append((time.perf_counter() - started) * 1_000)
    return statistics.median(found)


def raw(connection: Connection, world: WhyWorld, found: walk.Walk) -> None:
    """The reads of a walk, and nothing done with them."""
    ask = connection.exec_driver_sql
    ask("SELECT * FROM audit_entry WHERE task = ?", (found.call.task,)).all()
    size = found.proof.size or 0
    ask("SELECT number, root FROM audit_subtree WHERE number < ?", (size // 256,)).all()
    for block in {entry.index // 256 for entry in found.proof.entries} | {size // 256}:
        query = "SELECT seq, raw FROM audit_entry WHERE seq > ? AND seq <= ?"
        ask(query, (block * 256, block * 256 + 256)).all()
    for query in (logged.ONE, "SELECT * FROM disclosure WHERE seq = ?"):
        for entry in found.proof.entries:
            ask(query, (entry.seq,)).all()
    assert found.held is not None
    assert found.rule is not None
    git, commit, path = found.held.git, found.commit, found.rule.path
    git.commit_info(commit)
    git.ask("cat-file", "--batch", given=f"{commit}:{path}\n".encode())
    line = f"{found.rule.number},{found.rule.number}"
    git.ask("blame", "--porcelain", "-s", "-L", line, commit, "--", path)
    git.blobs(file.blob for file in git.tree(commit).files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        world = WhyWorld(Path(name))
        with world.running():
            fill(world, given.entries // 2)
            task = world.ran()
            fill(world, given.entries - given.entries // 2)
            loaded = settings.load(world.home.folder)
            with world.home.database.read() as connection:
                found = calls.step(logged.of_step(connection, task, 2), task, 2)
                assert found is not None
                once = walk.walk(connection, loaded, found)
                assert once.proof.holds

                def one() -> None:
                    step = calls.step(logged.of_step(connection, task, 2), task, 2)
                    assert step is not None
                    assert step.decided is not None
                    at = walk.walk(connection, loaded, step)
                    judge = Judge(connection, loaded)
                    judge.again(step.decided, at.held, at.task, at.arguments)

                measured = {
                    "raw reads and git": lambda: raw(connection, world, once),
                    "one call, judged again": one,
                    "without judging": lambda: walk.walk(connection, loaded, found),
                    "a whole task": lambda: whole.whole(connection, loaded, task),
                }
                base = 0.0
                for title, do in measured.items():
                    taken = median_ms(given.rounds, do)
                    base = base or taken
                    print(f"{title:<24} {taken:8.1f} ms   {taken / base:5.2f}")


if __name__ == "__main__":
    main()
