"""A SQLite source answers what it holds, beside writers, and leaves no trace of reading."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from data_sources import ask, outcome, rows, sqlite_pair

from runner import tools
from runner.contract.errors import ToolFailed
from runner.contract.kinds import DataSource, Permission, Tool
from runner.functions import child
from runner.tools import Bounds, Call
from runner.tools.sources import Source

READ, WRITE, ADMIN = "read: analytics_db", "write: analytics_db", "admin: analytics_db"
SOURCE = DataSource(type="sqlite", path="analytics.db")


@pytest.fixture(params=["delete", "wal"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    sqlite_pair(tmp_path, request.param)
    return tmp_path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    sqlite_pair(tmp_path, "delete")
    return tmp_path


def value(folder: Path, statement: str) -> Any:
    with closing(sqlite3.connect(folder / "analytics.db")) as connection:
        return connection.execute(statement).fetchone()[0]


def test_a_query_gets_its_parameters(plain: Path) -> None:
    query = "SELECT id, item FROM orders WHERE price > ? AND item <> ? ORDER BY id"
    assert rows(ask(plain, SOURCE, READ, query, [50.5, "x'; DROP TABLE orders"])) == [
        [2, "chair"],
        [3, "table"],
    ]


def test_an_answer_names_its_columns(plain: Path) -> None:
    answer = json.loads(ask(plain, SOURCE, READ, "SELECT id AS n, item FROM orders WHERE id=1"))
    assert answer == {"columns": ["n", "item"], "rows": [[1, "lamp"]], "truncated": False}


def test_what_json_would_bend_is_tagged(plain: Path) -> None:
    query = (
        "SELECT 9007199254740991, 9007199254740992, -9223372036854775808, 9e999, -9e999, "
        "9e999 - 9e999, x'0001ff', NULL, 1.5, 'ünï', CAST(x'ff41' AS TEXT)"
    )
    assert rows(ask(plain, SOURCE, READ, query)) == [
        [
            9007199254740991,
            {"$integer": "9007199254740992"},
            {"$integer": "-9223372036854775808"},
            {"$number": "Infinity"},
            {"$number": "-Infinity"},
            None,  # SQLite makes a number that is none to NULL.
            {"$base64": "AAH/"},
            None,
            1.5,
            "ünï",
            "\ufffdA",
        ]
    ]


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (None, []),
        (7, []),
        (["SELECT 1"], []),
        ("SELECT ?", {"a": 1}),
        ("SELECT ?", [[1]]),
        ("SELECT ?", [{"$base64": "AA=="}]),
        ("SELECT ?", []),
        ("SELECT ?", [1, 2]),
        ("SELECT :name", ["x", "y"]),
        ("SELECT ?", [2**63]),
        ("SELECT 1", ["x"] * 1_001),
    ],
    ids=str,
)
def test_what_is_no_statement_with_its_parameters_is_refused(
    plain: Path, query: Any, parameters: Any
) -> None:
    was_refused, said = outcome(plain, SOURCE, READ, query, parameters)
    assert was_refused
    assert "process ended" not in said


def test_rows_are_cut_at_the_source_s_bound(plain: Path) -> None:
    source = DataSource(type="sqlite", path="analytics.db", max_rows=2)
    answer = json.loads(ask(plain, source, READ, "SELECT id FROM orders ORDER BY id"))
    assert (answer["rows"], answer["truncated"]) == ([[1], [2]], True)
    answer = json.loads(ask(plain, source, READ, "SELECT id FROM orders LIMIT 2"))
    assert not answer["truncated"]


def test_an_answer_that_is_cut_by_bytes_is_whole_json(plain: Path) -> None:
    query = "SELECT id, printf('%.*c', 300, 'x') FROM orders"
    text = ask(plain, SOURCE, READ, query, output_bytes_max=800)
    answer = json.loads(text)
    assert (len(answer["rows"]), answer["truncated"]) == (2, True)
    assert len(text) <= 800
    wide = f'SELECT 1 AS "{"x" * 2_000}"'
    answer = json.loads(ask(plain, SOURCE, READ, wide, output_bytes_max=800))
    assert answer == {"columns": [], "rows": [], "truncated": True}


def test_a_write_is_kept_and_counted(files: Path) -> None:
    answer = json.loads(ask(files, SOURCE, WRITE, "UPDATE orders SET price = 1 WHERE id < 3"))
    assert answer["changed"] == 2
    assert value(files, "SELECT sum(price) FROM orders") == 312.25


def test_a_write_is_whole_even_where_its_answer_is_cut(files: Path) -> None:
    source = DataSource(type="sqlite", path="analytics.db", max_rows=1)
    answer = json.loads(ask(files, source, WRITE, "DELETE FROM orders RETURNING id"))
    assert (answer["rows"], answer["truncated"]) == ([[1]], True)
    assert value(files, "SELECT count(*) FROM orders") == 0


def test_a_trigger_needs_what_it_touches_to_be_writable(plain: Path) -> None:
    query = "INSERT INTO trapped VALUES ('x')"
    listed = {"tables": ["trapped", "noted", "hidden"], "writable": ["trapped"]}
    closed = DataSource(type="sqlite", path="analytics.db", **listed)
    with pytest.raises(ToolFailed, match="insert into noted"):
        ask(plain, closed, WRITE, query)
    assert value(plain, "SELECT count(*) FROM trapped") == 0
    listed["writable"].append("noted")
    ask(plain, DataSource(type="sqlite", path="analytics.db", **listed), WRITE, query)
    assert value(plain, "SELECT count(*) FROM noted") == 1


DEFINITIONS = [
    "CREATE TABLE made (a PRIMARY KEY, b REFERENCES orders)",
    "CREATE INDEX made_b ON made (b)",
    "ALTER TABLE made ADD COLUMN c",
    "ALTER TABLE made RENAME COLUMN c TO d",
    "ALTER TABLE made DROP COLUMN d",
    "REINDEX made_b",
    "DROP INDEX made_b",
    "DROP TABLE made",
]


def test_admin_defines_the_tables_of_its_list(plain: Path) -> None:
    source = DataSource(type="sqlite", path="analytics.db", tables=["made", "orders"])
    for statement in DEFINITIONS:
        ask(plain, source, ADMIN, statement)


@pytest.mark.parametrize("statement", DEFINITIONS[:5] + DEFINITIONS[6:])
def test_write_defines_nothing_and_admin_nothing_else(plain: Path, statement: str) -> None:
    with closing(sqlite3.connect(plain / "analytics.db")) as connection:
        connection.executescript(
            "CREATE TABLE made (a, b, c, d); CREATE INDEX made_b ON made (b)"
            if "CREATE" not in statement
            else "CREATE TABLE other_made (b)"
        )
    before = value(plain, "SELECT group_concat(sql) FROM sqlite_master")
    with pytest.raises(ToolFailed):
        ask(plain, SOURCE, WRITE, statement)
    listed = DataSource(type="sqlite", path="analytics.db", tables=["orders"])
    with pytest.raises(ToolFailed):
        ask(plain, listed, ADMIN, statement)
    assert value(plain, "SELECT group_concat(sql) FROM sqlite_master") == before


# Beside others.

WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print(connection.execute("PRAGMA journal_mode").fetchone()[0], flush=True)
for number in range(100_000_000):
    # Two rows that agree, so that a reader of half a transaction is found out.
    connection.execute("BEGIN IMMEDIATE")
    for id in (1, 2):
        connection.execute("UPDATE orders SET price = ? WHERE id = ?", (number, id))
    connection.execute("COMMIT")
    time.sleep(0.002)  # In the old journal, one who writes without a pause starves readers.
    if sys.argv[2] == "reopen":
        connection.close()
        connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
"""


@pytest.fixture
def writing(files: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(files / "analytics.db"), request.param],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


@pytest.mark.parametrize("writing", ["stay", "reopen"], indirect=True)
def test_a_reader_beside_a_writer_sees_whole_transactions(files: Path, writing: str) -> None:
    query = "SELECT min(price), max(price), count(*) FROM orders WHERE id < 3"
    seen = set()
    for _ in range(15):
        was_refused, said = outcome(files, SOURCE, READ, query)
        if was_refused:
            # A writer that comes and goes may win; it must be said, and never half be seen.
            assert "too often" in said or "locked" in said or "crashed" in said, said
            continue
        ((low, high, count),) = rows(said)
        assert (low, count) == (high, 2)
        seen.add(low)
    assert len(seen) > 1, f"the reader never saw the writer at work ({writing})"


def test_reading_leaves_nothing_beside_the_file(files: Path) -> None:
    before = sorted(os.listdir(files))
    ask(files, SOURCE, READ, "SELECT * FROM orders")
    assert sorted(os.listdir(files)) == before


def test_reading_touches_nothing_of_a_writer_that_is_there(files: Path) -> None:
    with closing(sqlite3.connect(files / "analytics.db", isolation_level=None)) as writer:
        writer.execute("UPDATE orders SET price = 7 WHERE id = 1")
        before = {path.name: path.read_bytes() for path in files.iterdir()}
        answer = ask(files, SOURCE, READ, "SELECT price FROM orders WHERE id = 1")
        assert rows(answer) == [[7]]
        assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_what_a_crashed_writer_kept_in_its_log_is_read(tmp_path: Path) -> None:
    sqlite_pair(tmp_path / "made", "wal")
    writer = sqlite3.connect(tmp_path / "made" / "analytics.db", isolation_level=None)
    writer.execute("UPDATE orders SET price = 7 WHERE id = 1")
    files = tmp_path / "files"
    files.mkdir()
    for path in (tmp_path / "made").glob("analytics.db*"):
        (files / path.name).write_bytes(path.read_bytes())
    writer.close()
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert "analytics.db-wal" in before
    answer = ask(files, SOURCE, READ, "SELECT price FROM orders WHERE id = 1")
    assert rows(answer) == [[7]]
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_a_file_that_a_crashed_writer_left_half_written_is_not_guessed_at(
    plain: Path,
) -> None:
    crash = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN'); "
        "[c.execute('INSERT INTO noted VALUES (hex(randomblob(3000)))') for _ in range(40)]; "
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", crash, str(plain / "analytics.db")], check=False)
    assert (plain / "analytics.db-journal").exists()
    with pytest.raises(ToolFailed, match="its owner has to open it once"):
        ask(plain, SOURCE, READ, "SELECT * FROM orders")


# The file itself.


@pytest.mark.parametrize("kind", ["symbolic", "hard", "folder", "fifo", "absent", "through"])
def test_only_a_plain_file_is_opened(plain: Path, kind: str) -> None:
    path = plain / "analytics.db"
    path.unlink()
    source = SOURCE
    if kind == "symbolic":
        path.symlink_to(plain / "other.db")
    elif kind == "hard":
        os.link(plain / "other.db", path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "through":
        (plain / "link").symlink_to(plain)
        source = DataSource(type="sqlite", path="link/other.db")
    for permission in (READ, WRITE, ADMIN):
        with pytest.raises(ToolFailed, match=r"analytics\.db|link"):
            ask(plain, source, permission, "SELECT 1")
    assert path.exists() == (kind in {"symbolic", "hard", "folder", "fifo"})


def test_what_is_no_database_is_said_to_be_none(plain: Path) -> None:
    (plain / "analytics.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(ToolFailed, match="not a database"):
        ask(plain, SOURCE, READ, "SELECT 1")


def test_a_name_with_the_signs_of_an_address_is_a_name(plain: Path) -> None:
    odd = "a%20b?mode=rwc&x#y.db"
    (plain / "analytics.db").rename(plain / odd)
    source = DataSource(type="sqlite", path=odd)
    assert rows(ask(plain, source, READ, "SELECT count(*) FROM orders")) == [[3]]


SWAP = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("analytics.db", "kept"); os.rename("link", "analytics.db")
    os.rename("analytics.db", "link"); os.rename("kept", "analytics.db")
"""


def test_a_file_that_is_swapped_meanwhile_is_never_taken_for_it(plain: Path) -> None:
    (plain / "link").symlink_to("other.db")
    swapping = subprocess.Popen([sys.executable, "-I", "-c", SWAP, str(plain)])
    answered = 0
    try:
        for _ in range(60):
            was_refused, said = outcome(plain, SOURCE, READ, "SELECT item FROM orders")
            assert "canary" not in said
            answered += not was_refused
    finally:
        swapping.kill()
        swapping.wait()
    assert answered > 0


def test_a_call_that_is_cancelled_takes_its_process_along(plain: Path) -> None:
    endless = (
        "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
        "SELECT count(*) FROM r"
    )
    tool = Tool.model_validate({"type": "sql", "runtime": {"timeout": "60s"}})
    call = Call(
        "t:1",
        None,
        Bounds(plain, (), 1_000),
        permissions=(Permission.model_validate(READ),),
        sources={"analytics_db": Source(SOURCE)},
    )

    async def cancelled() -> int:
        running = asyncio.create_task(tools.call(tool, {"query": endless}, call))
        while not (found := children()):
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return found[0]

    process = asyncio.run(cancelled())
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def children() -> list[int]:
    """The processes that run a function for us."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for process in (task / "children").read_text(encoding="ascii").split():
            line = Path(f"/proc/{process}/cmdline").read_bytes()
            if str(Path(child.__file__)).encode() in line:
                found.append(int(process))
    return found
