"""What a guarded query costs beside the same query on a bare library, in the same run.

.venv/bin/python tests/benchmarks/bench_sources.py [--runs 60]

`bare` opens a connection, asks and closes, as a careful tool would; `held` asks on a
connection that stays open. `process` is a bare interpreter that does nothing. All take turns,
so that a slow moment of the machine falls on them alike; medians and ratios are printed.
"""

import argparse
import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

import postgresql_server

from runner import tools
from runner.contract.kinds import DataSource, Permission, Tool
from runner.tools import Bounds, Call
from runner.tools.sources import Source

ROWS = 1_000
QUERY = "SELECT id, item FROM orders WHERE id <= 100 ORDER BY id"
MADE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)"


def guarded(
    loop: asyncio.AbstractEventLoop, files: Path, source: DataSource, password: str | None
) -> Callable[[], Any]:
    """A call of the tool, as the guard makes it."""
    call = Call(
        "bench:1",
        None,
        Bounds(files, (), 262_144),
        permissions=(Permission.model_validate("read: analytics_db"),),
        sources={"analytics_db": Source(source, password)},
    )
    tool = Tool.model_validate({"type": "sql"})
    return lambda: loop.run_until_complete(tools.call(tool, {"query": QUERY}, call))


def medians(ways: dict[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Milliseconds of each way, taken in turns; the first turn is thrown away."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - started) * 1_000)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def show(title: str, found: dict[str, float]) -> None:
    print(title)
    for name, median in found.items():
        print(f"  {name:8} {median:8.2f} ms   {median / found['bare']:7.1f} x bare")


def sqlite_ways(loop: asyncio.AbstractEventLoop, files: Path) -> dict[str, Callable[[], Any]]:
    path = files / "analytics.db"
    held = sqlite3.connect(path)
    held.execute("PRAGMA journal_mode = WAL")
    held.execute(MADE)
    held.executemany("INSERT INTO orders VALUES (?, 'a lamp')", ((n,) for n in range(ROWS)))
    held.commit()

    def bare() -> list[Any]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(QUERY).fetchall()

    source = DataSource(type="sqlite", path=path.name, tables=["orders"])
    return {
        "held": lambda: held.execute(QUERY).fetchall(),
        "bare": bare,
        "process": lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True),
        "guarded": guarded(loop, files, source, None),
    }


def postgresql_ways(
    loop: asyncio.AbstractEventLoop, server: postgresql_server.Server
) -> dict[str, Callable[[], Any]]:
    url = server.create("analytics")
    held = psycopg.connect(url, autocommit=True)
    held.execute(MADE)
    held.execute(f"INSERT INTO orders SELECT n, 'a lamp' FROM generate_series(1, {ROWS}) s (n)")

    def bare() -> list[Any]:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(QUERY).fetchall()

    source = DataSource(
        type="postgresql",
        url=url.replace(f":{server.password}@", "@"),
        tables=["orders"],
    )
    return {
        "held": lambda: held.execute(QUERY).fetchall(),
        "bare": bare,
        "guarded": guarded(loop, Path("/nowhere"), source, server.password),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    runs = parser.parse_args().runs
    with closing(asyncio.new_event_loop()) as loop:
        with tempfile.TemporaryDirectory() as folder:
            show("SQLite, 100 rows", medians(sqlite_ways(loop, Path(folder)), runs))
        if reason := postgresql_server.missing():
            print(reason)
            return
        with postgresql_server.Server() as server:
            show("PostgreSQL, 100 rows", medians(postgresql_ways(loop, server), runs))


if __name__ == "__main__":
    main()
