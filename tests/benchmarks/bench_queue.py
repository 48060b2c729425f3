"""The way of a task through our runner, against what the database could do at most.

    .venv-benchmarks/bin/python tests/benchmarks/bench_queue.py [--parts sqlite,memory] [--json]

A no-op task is queued, claimed, handed to a worker process, answered and finished, each step
durable (SQLite with synchronous=FULL, PostgreSQL with synchronous_commit=on) and logged; only
the agent is left out. Bare sqlite3 and psycopg claim and finish in the same run, one by one
and in groups as large as ours were. Parts: sqlite, postgresql, agent, memory.
"""

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import limits  # noqa: E402
import postgresql_server  # noqa: E402
from home import COMMIT  # noqa: E402
from ours import Ours  # noqa: E402
from postgresql_server import Server  # noqa: E402
from processes import cpu_s, memory_mb, tree  # noqa: E402
from report import FORMS, Report, middle, percentile  # noqa: E402

from runner.contract import clock, submission  # noqa: E402
from runner.contract.database import open_database  # noqa: E402
from runner.contract.submission import Submission  # noqa: E402

PARTS = ("sqlite", "postgresql", "agent", "memory")
CREWS = ((1, 16), (2, 16), (4, 16), (8, 16), (4, 64))
"""Workers, and slots of each."""
USUAL, WIDE = (4, 16), (4, 64)
TASKS = {"sqlite": 10_000, "postgresql": 4_000}
ONE_BY_ONE = 1_500
FEW, MANY = 20_000, 100_000
PROBE_PAUSE_S = 0.005
ProbeResult = dict[str, list[float]]
Drains = dict[tuple[int, int], list[dict[str, float]]]
"""What was measured of each crew, run by run."""


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder on the disk that temporary files are on."""
    made = Path(tempfile.mkdtemp(prefix="orloj-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def drain(url: str, count: int, workers: int, slots: int) -> dict[str, float]:
    """Tasks a second, tasks a commit, and the processor time of a task in microseconds."""
    with folder() as place:
        ours = Ours(place, url)
        ours.submit(count, 1_000)
        with ours.runner(workers, slots) as pid:
            ours.settle()
            spent_s = cpu_s(tree([pid]))
        rate, group = ours.drained()
        assert ours.finished() == count
        ours.close()
    return {"rate": rate, "group": group, "cpu_us": spent_s * 1e6 / count}


def enqueue(url: str) -> dict[str, float]:
    """Tasks a second that enter, one by one and a hundred in a transaction, nobody working."""
    with folder() as place:
        ours = Ours(place, url)
        rates = {}
        for batch, count in ((1, 1_000), (100, 10_000)):
            started = time.perf_counter()
            ours.submit(count, batch)
            rates[f"{batch}"] = count / (time.perf_counter() - started)
        ours.close()
    return rates


def probe(
    home: Path, url: str, agent: Any, stop: Event, found: "multiprocessing.Queue[ProbeResult]"
) -> None:
    """Queue single tasks from another process: waits for the write transaction, and in all."""
    database = open_database(home, url)
    connection = database.connect()
    item = Submission(subject=agent, actor="person:probe")
    waits: list[float] = []
    whole: list[float] = []
    while not stop.wait(PROBE_PAUSE_S):
        started = time.perf_counter()
        with database.writing(connection):
            waits.append((time.perf_counter() - started) * 1e3)
            submission.submit(connection, [item], COMMIT, clock.now_us())
        whole.append((time.perf_counter() - started) * 1e3)
    connection.close()
    database.close()
    found.put({"wait": waits, "whole": whole})


def lock_waits(url: str, count: int, workers: int) -> ProbeResult:
    """Milliseconds that a second process waits to write while the runner is at full load."""
    context = multiprocessing.get_context("spawn")
    with folder() as place:
        ours = Ours(place, url)
        ours.submit(count, 1_000)
        stop, found = context.Event(), context.Queue()
        with ours.runner(workers):
            while not ours.finished():
                time.sleep(0.01)
            arguments = (ours.home.folder, url, ours.agent, stop, found)
            asking = context.Process(target=probe, args=arguments)
            asking.start()
            while ours.finished() < count * 0.9:
                time.sleep(0.05)
            stop.set()
            result: ProbeResult = found.get(timeout=60)
            asking.join()
        ours.close()
    return result


def part(report: Report, store: str, rounds: int, server: Server | None) -> None:
    """Everything about no-op tasks on one kind of database."""
    count = TASKS[store]
    raw: dict[str, list[float]] = {}
    found: Drains = {crew: [] for crew in CREWS}
    entered: list[dict[str, float]] = []
    number = 0

    def url() -> str:
        nonlocal number
        if server is None:
            return ""
        number += 1
        return server.create(f"queue_{number}")

    for _ in range(rounds):
        entered.append(enqueue(url()))
        for crew in CREWS:
            found[crew].append(drain(url(), count, *crew))
        group = max(1, round(found[USUAL][-1]["group"]))
        for name, rate in _limits(store, count, group, url()).items():
            raw.setdefault(name, []).append(rate)
    waits = lock_waits(url(), 2 * count, 4)
    _rates(report, store, found, raw)
    _entering(report, store, entered, waits)


def _limits(store: str, count: int, group: int, url: str) -> dict[str, float]:
    with folder() as place:
        if store == "sqlite":
            return {
                "one by one": limits.sqlite(place, ONE_BY_ONE, 1),
                "in groups": limits.sqlite(place, 3 * count, group),
                "same rows": limits.same_rows(place, count, group),
            }
        return {
            "one by one": limits.postgresql(url, ONE_BY_ONE, 1),
            "one by one, 4 processes": limits.postgresql(url, 2 * ONE_BY_ONE, 1, 4),
            "in groups": limits.postgresql(url, 3 * count, group),
        }


def _rates(
    report: Report,
    store: str,
    found: Drains,
    raw: dict[str, list[float]],
) -> None:
    driver = "sqlite3" if store == "sqlite" else "psycopg"
    bare = {name: middle(rates) for name, rates in raw.items()}
    ours = {
        crew: {name: middle([run[name] for run in runs]) for name in runs[0]}
        for crew, runs in found.items()
    }
    rows: list[tuple[Any, ...]] = []
    for (workers, slots), figures in ours.items():
        shares = (figures["rate"] / bare["one by one"], figures["rate"] / bare["in groups"])
        rows.append(
            (f"ours, {workers} workers of {slots} slots", figures["rate"], *shares)
            + (figures["group"], figures["cpu_us"])
        )
    group = ours[USUAL]["group"]
    for name, rate in bare.items():
        size = 1.0 if name.startswith("one") else group
        shares = (rate / bare["one by one"], rate / bare["in groups"])
        rows.append((f"bare {driver}, {name}", rate, *shares, size, None))
    report.table(
        f"No-op tasks on {store}: claimed, handed out, finished, durable, logged",
        ("what", "tasks/s", "of one by one", "of in groups", "tasks/commit", "CPU us/task"),
        rows,
        "Medians; the last four fifths of a drain. Bare: two changes of one narrow row and "
        "nothing else. Same rows: the rows, indexes and log entries that ours writes, from "
        "sqlite3, hashes and bytes made beforehand. CPU: dispatcher and workers together.",
    )
    usual = ours[USUAL]["rate"]
    report.check(
        f"{store}: ours by bare {driver} in groups", usual / bare["in groups"], 0.5, above=True
    )
    if store == "sqlite":
        for (workers, slots), best in (USUAL, usual), (WIDE, ours[WIDE]["rate"]):
            name = f"sqlite: durable no-op tasks, {workers} workers of {slots} slots"
            report.check(name, best, 10_000, above=True, unit="/s")
        report.check(
            "sqlite: ours by bare sqlite3 one by one",
            usual / bare["one by one"],
            1.8,
            above=True,
        )
    else:
        one = bare["one by one, 4 processes"]
        report.check("postgresql: ours by bare one by one, 4", usual / one, 1.5, above=True)


def _entering(
    report: Report, store: str, entered: list[dict[str, float]], waits: ProbeResult
) -> None:
    single = middle([rates["1"] for rates in entered])
    batched = middle([rates["100"] for rates in entered])
    columns = ("what", "p50 ms", "p99 ms", "worst ms", "times")
    rows = [
        (name, percentile(times, 0.5), percentile(times, 0.99), max(times), len(times))
        for name, times in (
            ("another process waits for the write transaction", waits["wait"]),
            ("... and queues a task, until durable", waits["whole"]),
        )
    ]
    report.table(
        f"Beside a runner at full load on {store} (4 workers)",
        columns,
        rows,
        f"With nobody at work, {single:,.0f} tasks a second enter one by one, and "
        f"{batched:,.0f} a hundred in a transaction.",
    )
    name, times = (
        ("lock wait", waits["wait"]) if store == "sqlite" else ("queueing", waits["whole"])
    )
    report.check(
        f"{store}: {name} at full load, p99",
        percentile(times, 0.99),
        20,
        above=False,
        unit="ms",
    )


def agent_tasks(report: Report, rounds: int) -> None:
    """The same with the real worker: one agent asks the scripted model once."""
    rates = []
    for _ in range(rounds):
        with folder() as place:
            ours = Ours(place)
            ours.submit(3_000, 1_000)
            with ours.runner(2, noop=False):
                ours.settle()
            rates.append(ours.drained()[0])
            ours.close()
    report.table(
        "Tasks of one agent on the scripted model (SQLite, 2 real workers)",
        ("what", "tasks/s", "worst"),
        [("one model call, journaled and guarded", middle(rates), min(rates))],
    )


def memory(report: Report) -> None:
    """Memory of the dispatcher and of real workers after few and after many tasks."""
    rows = []
    with folder() as place:
        ours = Ours(place)
        with ours.runner(2, noop=False) as pid:
            done = 0
            for count in (FEW // 4, FEW, MANY):
                ours.submit(count - done, 1_000)
                ours.settle()
                done = count
                dispatcher, *workers = tree([pid])
                # Resident and not by share: what others on this machine share must not count.
                each = [memory_mb([worker], "Rss") for worker in workers]
                rows.append((f"{count:,} tasks", memory_mb([dispatcher], "Rss"), max(each)))
        assert ours.finished() == MANY
        ours.close()
    report.table(
        "Resident memory after so many tasks of one agent",
        ("after", "dispatcher MB", "largest worker MB"),
        rows,
    )
    grown = max(rows[-1][place] - rows[-2][place] for place in (1, 2))
    report.check(
        f"memory: growth from {FEW:,} to {MANY:,} tasks", grown, 4, above=False, unit="MB"
    )


def run(parts: list[str], rounds: int) -> Report:
    """Measure the parts that were asked for."""
    report = Report()
    for name in parts:
        print(f"part: {name}", file=sys.stderr)
        if name == "sqlite":
            part(report, name, rounds, None)
        elif name == "postgresql":
            if reason := postgresql_server.missing():
                print(f"Left out: {reason}", file=sys.stderr)
                continue
            with Server() as server:
                part(report, name, rounds, server)
        elif name == "agent":
            agent_tasks(report, rounds)
        else:
            memory(report)
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured")
    parser.add_argument("--form", choices=FORMS, default="table", help="what to print")
    parser.add_argument("--json", dest="form", action="store_const", const="json")
    given = parser.parse_args()
    parts = [name for name in given.parts.split(",") if name]
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    run(parts, given.rounds).show(given.form)


if __name__ == "__main__":
    main()
