"""What the databases can do with nothing around them, at the same durability as ours.

Each task is claimed and finished, and both are durable before the next: one by one as a
plain worker loop would, or in groups, where one transaction ends a group and claims the
next, as our dispatcher does. `same_rows` writes what we write, attempts and entries of the
same length included, from Python's own sqlite3: what is left of the difference is the price
of deciding, hashing and talking to workers.
"""

import multiprocessing
import sqlite3
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import psycopg  # noqa: E402
from ours import Ours  # noqa: E402

PENDING, LEASED, DONE = 0, 1, 2
TABLE = (
    "CREATE TABLE job (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, fence INTEGER NOT NULL,"
    " owner TEXT, lease_until BIGINT, finished_at BIGINT)"
)
INDEX = "CREATE INDEX job_ready ON job (id) WHERE state = 0"
CLAIM = (
    "UPDATE job SET state = 1, fence = fence + 1, owner = 'w', lease_until = 1 WHERE id IN"
    " (SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT {}{}) RETURNING id, fence"
)
FINISH = (
    "UPDATE job SET state = 2, owner = NULL, lease_until = NULL, finished_at = 1"
    " WHERE id = {0} AND fence = {0} AND state = 1"
)
ENTRY_BYTES = 330  # As long as our entries of a claim and of an ending are on average.


def sqlite(folder: Path, count: int, group: int) -> float:
    """Tasks a second of bare sqlite3, WAL, synchronous=FULL; `group` 1 is one by one."""
    connection = sqlite3.connect(folder / f"raw-{group}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    connection.execute(INDEX)
    jobs = [(number, PENDING) for number in range(count)]
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO job (id, state, fence) VALUES (?, ?, 0)", jobs)
    connection.execute("COMMIT")
    claim, finish = CLAIM.format("?", ""), FINISH.format("?")
    started = time.perf_counter()
    held: list[tuple[int, int]] = []
    while True:
        connection.execute("BEGIN IMMEDIATE")
        if held and group == 1:
            connection.execute(finish, held[0])
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
        elif held:
            connection.executemany(finish, held)
        held = connection.execute(claim, (group,)).fetchall()
        connection.execute("COMMIT")
        if not held:
            break
    rate = count / (time.perf_counter() - started)
    done = connection.execute("SELECT count(*) FROM job WHERE state = 2").fetchone()[0]
    assert done == count
    connection.close()
    return rate


def commits_ms(folder: Path, count: int, pause_s: float = 0.05) -> list[float]:
    """How long single durable commits take bare sqlite3, each after a pause."""
    connection = sqlite3.connect(folder / "commits.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE line (at INTEGER)")
    times = []
    for _ in range(count):
        time.sleep(pause_s)
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO line VALUES (1)")
        connection.execute("COMMIT")
        times.append((time.perf_counter() - started) * 1e3)
    connection.close()
    return times


def same_rows(folder: Path, count: int, group: int) -> float:
    """Tasks a second of bare sqlite3 that writes the rows we write, in our schema."""
    ours = Ours(folder)
    ours.submit(count, 1_000)
    digest = "sha256:" + "0" * 64
    ours.close()
    connection = sqlite3.connect(folder / "home" / "orloj.db", isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    last = connection.execute("SELECT max(seq) FROM audit_entry").fetchone()[0]
    raw, hashed = b"x" * ENTRY_BYTES, b"h" * 32
    connection.execute("INSERT INTO manifest_set (digest, content) VALUES (?, '')", (digest,))
    started = time.perf_counter()
    held: list[tuple[str]] = []
    entries = 0
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "UPDATE task SET state = 'succeeded', output = 'done', finished_at = 1,"
            " holder = NULL, lease_until = NULL"
            " WHERE id = ? AND fence = 1 AND state = 'leased'",
            held,
        )
        connection.executemany(
            "UPDATE attempt SET ended_at = 1, outcome = 'succeeded'"
            " WHERE task_id = ? AND fence = 1",
            held,
        )
        ended = held
        held = connection.execute(
            "UPDATE task SET state = 'leased', fence = 1, attempt = 1, holder = 'w',"
            " lease_until = 1, commit_sha = 'c', manifest_set = ?,"
            " started_at = 1 WHERE id IN (SELECT id FROM task WHERE state = 'pending'"
            " AND priority = 2 ORDER BY lane, id LIMIT ?) RETURNING id",
            (digest, group),
        ).fetchall()
        connection.executemany(
            "INSERT INTO attempt (task_id, fence, worker, started_at) VALUES (?, 1, 'w', 1)",
            held,
        )
        rows = [
            (last + entries + place, raw, hashed, 1, "task.finished", task[0], 1)
            for place, task in enumerate([*ended, *held], 1)
        ]
        connection.executemany(
            "INSERT INTO audit_entry (seq, raw, leaf, time, type, task, task_seq)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        entries += len(rows)
        connection.execute("COMMIT")
        if not held:
            break
    rate = count / (time.perf_counter() - started)
    assert entries == 2 * count
    connection.close()
    return rate


def postgresql(url: str, count: int, group: int, processes: int = 1) -> float:
    """Tasks a second of bare psycopg with SKIP LOCKED; `group` 1 is one by one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS job")
        connection.execute(TABLE)
        connection.execute(INDEX)
        connection.execute(
            "INSERT INTO job (id, state, fence) SELECT n, 0, 0 FROM generate_series(1, %s) n",
            (count,),
        )
        connection.execute("ANALYZE job")
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(processes + 1)
        started = [
            context.Process(target=_loop, args=(url, group, ready)) for _ in range(processes)
        ]
        for process in started:
            process.start()
        ready.wait(30)
        began = time.perf_counter()
        for process in started:
            process.join()
        rate = count / (time.perf_counter() - began)
        row = connection.execute("SELECT count(*) FROM job WHERE state = 2").fetchone()
        assert row == (count,)
    return rate


def _loop(url: str, group: int, ready: object) -> None:
    claim = CLAIM.format("%s", " FOR UPDATE SKIP LOCKED")
    finish = FINISH.format("%s")
    together = (
        "UPDATE job SET state = 2, owner = NULL, lease_until = NULL, finished_at = 1"
        " FROM unnest(%s::int[], %s::int[]) AS e (id, fence)"
        " WHERE job.id = e.id AND job.fence = e.fence AND job.state = 1"
    )
    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        ready.wait(30)
        held: list[tuple[int, int]] = []
        while True:
            if group == 1:
                if held:
                    connection.execute(finish, held[0])
                held = connection.execute(claim, (1,)).fetchall()
            else:
                with connection.transaction():
                    if held:
                        connection.execute(together, tuple(map(list, zip(*held, strict=True))))
                    held = connection.execute(claim, (group,)).fetchall()
            if not held:
                return
