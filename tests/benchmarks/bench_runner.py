"""How many tasks a second the runner does, and how soon it starts one. Run by hand.

    python tests/benchmarks/bench_runner.py [workers]

Prints a table. The last line is what bare sqlite3 does on this disk in the same run, with
two durable transactions a task, one after the other: the ratio tells more than the rate.
"""

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from home import Home

from runner.claim import ANY_WORKER
from runner.contract.kinds import Key
from runner.order import Order

RUNS: Final = 3
PICK_UPS: Final = 200
MANY: Final = 100_000


def chain(home: Home) -> Key:
    """Three agents, one after another."""
    names = ("reader", "checker", "writer")
    script = {name: [{"reply": f"{name} says {{previous}}"}] for name in names}
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "mock", "default_model": "m", "script": script},
    )
    for name in names:
        home.record("Agent", name, {"model": "m"})
    return home.record("AgentSystem", "chain", {"agents": list(names)})


def single(home: Home) -> Key:
    """One agent."""
    chain(home)
    return Key("default", "Agent", "reader")


def throughput(subject: Callable[[Home], Key], count: int, workers: int) -> list[float]:
    """Tasks a second from submission to the last one durable, the runner being up."""
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        key = subject(home)
        with home.runner(workers=workers):
            home.wait(home.submit(key, workers), {"succeeded"})
            for _ in range(RUNS):
                started = time.perf_counter()
                tasks = home.submit(key, count)
                home.wait(tasks, {"succeeded"}, timeout_s=120)
                rates.append(count / (time.perf_counter() - started))
        home.close()
    return rates


def pick_up(workers: int) -> tuple[list[float], list[float]]:
    """Milliseconds from submission to the claim, and to the first step, on an idle runner."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        key = single(home)
        with home.runner(workers=workers):
            home.wait(home.submit(key, workers), {"succeeded"})
            tasks = []
            for _ in range(PICK_UPS):
                tasks += home.submit(key)
                home.wait(tasks[-1:], {"succeeded"})
        rows = home.rows(
            "SELECT (t.started_at - t.created_at) / 1e3, (s.started_at - t.created_at) / 1e3"
            " FROM task t JOIN step s ON s.task_id = t.id AND s.number = 1"
            " ORDER BY t.id DESC LIMIT ?",
            PICK_UPS,
        )
        home.close()
    return [row[0] for row in rows], [row[1] for row in rows]


def backlogs() -> list[tuple[str, float]]:
    """Milliseconds to find the next 16 tasks, beside few rows and beside many. Medians."""
    flood, quiet = (Key("default", "Agent", name) for name in ("flood", "quiet"))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.submit(flood, 100)
        home.submit(quiet)
        found = [("next 16 of 100 + 1 pending", next_ms(home))]
        home.submit(flood, MANY)
        found.append((f"next 16 of {MANY:,} + 1 pending", next_ms(home)))
        with home.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE task SET state = 'waiting_approval' WHERE id NOT IN (SELECT id FROM"
                " task WHERE subject_name = 'flood' ORDER BY id LIMIT 100)"
                " AND subject_name = 'flood'"
            )
        found.append((f"next 16 of 100 + 1, {MANY:,} parked", next_ms(home)))
        home.close()
    return found


def next_ms(home: Home) -> float:
    """How long it takes to find the next tasks."""
    connection = home.database.connect()
    line, times = Order(connection, ANY_WORKER), []
    for _ in range(PICK_UPS):
        started = time.perf_counter()
        assert len(line.next(16, {})) == 16
        connection.rollback()
        times.append(1e3 * (time.perf_counter() - started))
    connection.close()
    return median(times)


def raw_sqlite(count: int = 500) -> float:
    """Tasks a second of bare sqlite3: a claim and a finish each, each durable."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, state TEXT)")
        connection.executemany(
            "INSERT INTO task VALUES (?, 'pending')", [(n,) for n in range(count)]
        )
        started = time.perf_counter()
        for number in range(count):
            for state in ("leased", "succeeded"):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("UPDATE task SET state = ? WHERE id = ?", (state, number))
                connection.execute("COMMIT")
        rate = count / (time.perf_counter() - started)
        connection.close()
    return rate


def main() -> None:
    """Measure and print."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    print(f"{'what':<38}{'median':>10}{'best':>10}{'worst':>10}   unit")
    for name, subject, count in (
        ("100 tasks, chain of three agents", chain, 100),
        ("1 000 tasks, chain of three agents", chain, 1_000),
        ("1 000 tasks, one agent", single, 1_000),
    ):
        rates = sorted(throughput(subject, count, workers))
        show = (rates[len(rates) // 2], rates[-1], rates[0])
        print(f"{name:<38}{show[0]:>10.0f}{show[1]:>10.0f}{show[2]:>10.0f}   tasks/s")
    print(f"{'':<38}{'p50':>10}{'p99':>10}{'worst':>10}")
    for name, times in zip(
        ("idle: submitted to claimed", "idle: to its first step"), pick_up(workers), strict=True
    ):
        cuts = quantiles(times, n=100)
        print(f"{name:<38}{cuts[49]:>10.2f}{cuts[98]:>10.2f}{max(times):>10.2f}   ms")
    for name, taken_ms in backlogs():
        print(f"{name:<38}{taken_ms:>10.3f}{'':>20}   ms")
    print(f"{'bare sqlite3, two commits a task':<38}{raw_sqlite():>10.0f}{'':>20}   tasks/s")


if __name__ == "__main__":
    main()
