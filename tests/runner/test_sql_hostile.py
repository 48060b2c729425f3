"""A database cannot be written under `read`, and no other one touched, whatever is tried.

Each attack is a statement that a model might send. It is refused; the database is byte for
byte what it was; what stands in the other database, and in a table that is not listed, shows
in no answer and in no error. Beside the attacks stand honest statements that must pass, so
that a fence which refuses everything fails here.
"""

import os
import re
from pathlib import Path

import pytest
from data_sources import ELSEWHERE, HIDDEN, ask, outcome, rows, sqlite_pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.contract.kinds import DataSource

LISTED = ["orders", "cheap", "peephole", "trapped", "notes", "notes_data", "notes_idx"]
LISTED += ["notes_content", "notes_docsize", "notes_config", "reaching"]
SOURCE = DataSource(type="sqlite", path="analytics.db", tables=LISTED, writable=["orders"])
OPEN = DataSource(type="sqlite", path="analytics.db")

READING = {
    "insert": "INSERT INTO orders VALUES (9, 'x', 1)",
    "update": "UPDATE orders SET price = 0",
    "delete": "DELETE FROM orders",
    "replace": "REPLACE INTO orders VALUES (1, 'x', 1)",
    "upsert": "INSERT INTO orders VALUES (1,'x',1) ON CONFLICT (id) DO UPDATE SET price = 0",
    "returning": "DELETE FROM orders RETURNING *",
    "insert behind with": "WITH a AS (SELECT 9) INSERT INTO orders (id) SELECT * FROM a",
    "delete behind with": "WITH a AS (SELECT 1) DELETE FROM orders WHERE id IN a",
    "explained delete": "EXPLAIN DELETE FROM orders",
    "fts command": "INSERT INTO notes (notes) VALUES ('rebuild')",
    "fts shadow": "UPDATE notes_data SET block = x''",
    "trigger that leaks": "INSERT INTO trapped VALUES (1)",
    "create table": "CREATE TABLE x (a)",
    "create temporary table": "CREATE TEMP TABLE x (a)",
    "create as select": "CREATE TABLE x AS SELECT * FROM orders",
    "create temporary view": "CREATE TEMP VIEW x AS SELECT * FROM hidden",
    "create temporary trigger": (
        "CREATE TEMP TRIGGER x AFTER INSERT ON orders BEGIN DELETE FROM hidden; END"
    ),
    "create virtual table": "CREATE VIRTUAL TABLE x USING fts5 (a)",
    "csv module": "CREATE VIRTUAL TABLE temp.x USING csv (filename='/etc/passwd')",
    "drop table": "DROP TABLE orders",
    "drop view": "DROP VIEW cheap",
    "alter table": "ALTER TABLE orders ADD COLUMN x",
    "rename": "ALTER TABLE hidden RENAME TO orders",
    "create index": "CREATE INDEX x ON orders (item)",
    "analyze": "ANALYZE",
    "vacuum": "VACUUM",
    "vacuum into": "VACUUM INTO 'stolen.db'",
    "vacuum into the other": "VACUUM INTO 'other.db'",
    "attach": "ATTACH 'other.db' AS other",
    "attach by uri": "ATTACH 'file:other.db?mode=rw' AS other",
    "attach in memory": "ATTACH ':memory:' AS m",
    "attach new": "ATTACH 'new.db' AS n",
    "attach parameter": "ATTACH 'oth' || 'er.db' AS other",
    "detach": "DETACH main",
    "other schema": "SELECT * FROM other.orders",
    "two statements": "SELECT 1; DELETE FROM orders",
    "two behind a comment": "SELECT 1 /* ; */ ; DELETE FROM orders --",
    "two with a blank": "; ; SELECT 1; DELETE FROM orders",
    "attach then select": "ATTACH 'other.db' AS o; SELECT * FROM o.orders",
    "begin": "BEGIN",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "savepoint": "SAVEPOINT x",
    "release": "RELEASE x",
    "query_only off": "PRAGMA query_only = OFF",
    "writable_schema": "PRAGMA writable_schema = ON",
    "trusted_schema": "PRAGMA trusted_schema = ON",
    "journal_mode": "PRAGMA journal_mode = DELETE",
    "user_version": "PRAGMA user_version = 7",
    "checkpoint": "PRAGMA wal_checkpoint(TRUNCATE)",
    "incremental vacuum": "PRAGMA incremental_vacuum",
    "temp_store_directory": "PRAGMA temp_store_directory = '/tmp'",
    "database_list": "PRAGMA database_list",
    "table_info": "PRAGMA table_info(hidden)",
    "heap limit": "PRAGMA hard_heap_limit = 0",
    "pragma as a table": "SELECT * FROM pragma_table_list",
    "pragma database list": "SELECT * FROM pragma_database_list",
    "pragma table info": "SELECT * FROM pragma_table_info('hidden')",
    "load_extension": "SELECT load_extension('/tmp/x.so')",
    "load_extension in a where": "SELECT 1 FROM orders WHERE load_extension('x') = 1",
    "load_extension in a view": "SELECT * FROM reaching",
    "fts3_tokenizer": "SELECT fts3_tokenizer('simple')",
    "fts3_tokenizer pointer": "SELECT fts3_tokenizer('x', x'4141414141414141')",
    "readfile": "SELECT readfile('/etc/passwd')",
    "writefile": "SELECT writefile('stolen', 'x')",
    "edit": "SELECT edit('x', 'sh')",
    "sqlite_log": "SELECT sqlite_log(1, 'x')",
    "compile options": "SELECT sqlite_compileoption_get(1)",
    "unknown function": "SELECT fileio_ls('/')",
    "the schema": "SELECT * FROM sqlite_master",
    "the schema by its new name": "SELECT sql FROM sqlite_schema",
    "the temporary schema": "SELECT * FROM sqlite_temp_master",
    "writing the schema": "UPDATE sqlite_master SET sql = 'x'",
    "pages": "SELECT * FROM dbstat",
    "raw pages": "SELECT * FROM sqlite_dbpage",
    "statements": "SELECT * FROM sqlite_stmt",
    "fts vocabulary": "SELECT * FROM fts5vocab",
    "hidden table": "SELECT * FROM hidden",
    "hidden in quotes": 'SELECT * FROM "hidden"',
    "hidden in brackets": "SELECT * FROM [hIDDEN]",
    "hidden with its schema": "SELECT * FROM main.hidden",
    "hidden in a subquery": "SELECT (SELECT secret FROM hidden)",
    "hidden in exists": "SELECT 1 WHERE EXISTS (SELECT 1 FROM hidden)",
    "hidden in in": f"SELECT '{HIDDEN[:6]}' IN hidden",
    "hidden counted": "SELECT count(*) FROM hidden",
    "hidden row number": "SELECT rowid FROM hidden",
    "hidden in a join": "SELECT * FROM orders NATURAL JOIN hidden",
    "hidden in a union": "SELECT item FROM orders UNION SELECT secret FROM hidden",
    "hidden in an order": "SELECT 1 ORDER BY (SELECT secret FROM hidden)",
    "hidden in a limit": "SELECT 1 LIMIT (SELECT count(*) FROM hidden)",
    "hidden in a window": "SELECT sum((SELECT length(secret) FROM hidden)) OVER ()",
    "hidden in a recursion": (
        "WITH RECURSIVE r (s) AS (SELECT secret FROM hidden UNION SELECT s FROM r) "
        "SELECT * FROM r"
    ),
    "hidden behind a listed view": "SELECT * FROM peephole",
    "hidden count behind a view": "SELECT count(*) FROM peephole",
    "hidden as a listed view": (
        "WITH cheap AS (SELECT secret AS item FROM hidden) SELECT * FROM cheap"
    ),
    "hidden as a listed view, counted": (
        "WITH cheap AS (SELECT secret FROM hidden) SELECT count(*) FROM cheap"
    ),
    "hidden as a listed table": (
        "WITH orders AS (SELECT secret FROM main.hidden) SELECT * FROM orders"
    ),
    "another's alias": "SELECT orders.secret FROM hidden AS orders",
    "error that tells": "SELECT json(secret) FROM hidden",
    "recursion without end": (
        "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
        "SELECT count(*) FROM r"
    ),
    "product without end": (
        "SELECT count(*) FROM json_each(printf('[%.*c1]', 100000, '1')) a, orders b, orders c, "
        "orders d, orders e, orders f, orders g, orders h, orders i, orders j, orders k, "
        "orders l, orders m, orders n, orders o, orders p, orders q, orders r, orders s, "
        "orders t, orders u, orders v"
    ),
    "a huge text": "SELECT printf('%.*c', 1000000000, 'x')",
    "a huge blob": "SELECT zeroblob(1000000000)",
    "much memory": (
        "WITH RECURSIVE r (n, t) AS (SELECT 1, randomblob(1000000) UNION ALL "
        "SELECT n + 1, randomblob(1000000) FROM r WHERE n < 5000) SELECT * FROM r ORDER BY t"
    ),
    "deep expression": "SELECT " + "(" * 900 + "1" + ")" * 900,
    "long chain": "SELECT " + "+".join(["1"] * 2_000),
    "wide union": " UNION ALL ".join(["SELECT 1"] * 500),
    "long text": "SELECT '" + "x" * 100_001 + "'",
    "slow pattern": f"SELECT 'x' LIKE '{'%x' * 5_000}'",
    "zero byte": "SELECT 1\x00; DELETE FROM orders",
    "half a surrogate pair": "SELECT '\ud800'",
    "empty": "  ",
    "only a comment": "-- nothing",
    "nonsense": "SELEKT 1",
}
WRITING = {
    "hidden": "INSERT INTO hidden VALUES ('x')",
    "hidden read": "INSERT INTO orders (item) SELECT secret FROM hidden",
    "hidden read by returning": "DELETE FROM orders RETURNING (SELECT secret FROM hidden)",
    "hidden read by update from": "UPDATE orders SET item = secret FROM hidden",
    "hidden read by upsert": (
        "INSERT INTO orders VALUES (1, 'x', 1) ON CONFLICT (id) DO UPDATE SET "
        "item = (SELECT secret FROM hidden)"
    ),
    "listed but not writable": "INSERT INTO trapped VALUES ('x')",
    "a view": "DELETE FROM cheap",
    "the schema": "UPDATE sqlite_master SET sql = 'x'",
    "fts shadow": "DELETE FROM notes_data",
    "half of it fails": "INSERT INTO orders VALUES (7, 'new', 1), (1, 'again', 1)",
    "half of it fails and is kept": (
        "INSERT OR FAIL INTO orders VALUES (7, 'new', 1), (1, 'again', 1)"
    ),
    "rollback on conflict": "INSERT OR ROLLBACK INTO orders VALUES (1, 'again', 1)",
}
NOT_A_WRITE = {
    "insert",
    "update",
    "delete",
    "replace",
    "upsert",
    "returning",
    "insert behind with",
    "delete behind with",
    "explained delete",
    "trigger that leaks",
    "fts shadow",
}
ENDLESS = {"recursion without end", "product without end", "a huge text"}
SLOW = re.compile("too long; ask|no answer within")
HONEST = {
    "SELECT count(*) FROM orders": [[3]],
    "SELECT item FROM cheap ORDER BY 1": [["chair"], ["lamp"]],
    "SELECT count(*) FROM cheap": [[2]],
    "WITH a AS (SELECT max(price) AS p FROM orders) "
    "SELECT item FROM orders, a WHERE price = p;": [["table"]],
    "WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 9) "
    "SELECT count(*) FROM r": [[9]],
    "SELECT body FROM notes WHERE notes MATCH 'lamps'": [["a note about lamps"]],
    "SELECT value FROM json_each('[4]') -- the end": [[4]],
    "SELECT upper(item) || '!' FROM orders WHERE id IN (1)": [["LAMP!"]],
    "SELECT sum(price) OVER (ORDER BY id) FROM orders LIMIT 1": [[20.5]],
}


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, byte for byte."""
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    sqlite_pair(folder, "wal")
    return folder


@pytest.fixture(scope="module")
def old_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    sqlite_pair(folder, "delete")
    return folder


def refused(folder: Path, source: DataSource, permission: str, statement: str) -> None:
    before = content(folder)
    endless = statement in {READING[name] for name in ENDLESS}
    limit = "1s" if endless else "20s"
    was_refused, said = outcome(folder, source, permission, statement, timeout=limit)
    assert content(folder) == before
    assert ELSEWHERE not in said
    assert HIDDEN not in said
    assert was_refused, said
    assert "internal error" not in said
    assert "its process ended" not in said, "the statement broke the process instead"
    assert endless or not SLOW.search(said), "it ran until its time was over"


@pytest.mark.parametrize("statement", READING.values(), ids=READING.keys())
def test_sqlite_refuses_an_attack_on_a_read(pair: Path, statement: str) -> None:
    refused(pair, SOURCE, "read: analytics_db", statement)


@pytest.mark.parametrize("statement", HONEST, ids=str)
def test_sqlite_answers_an_honest_read(pair: Path, statement: str) -> None:
    before = content(pair)
    assert rows(ask(pair, SOURCE, "read: analytics_db", statement)) == HONEST[statement]
    assert content(pair) == before


# What only reads is held by the same fence; it need not be tried twice.
STILL = {
    name: text
    for name, text in READING.items()
    if name not in NOT_A_WRITE | ENDLESS and not name.startswith(("hidden in", "pragma "))
}


@pytest.mark.parametrize(
    "statement", [*STILL.values(), *WRITING.values()], ids=[*STILL, *WRITING]
)
def test_sqlite_refuses_an_attack_on_a_write(old_pair: Path, statement: str) -> None:
    refused(old_pair, SOURCE, "write: analytics_db", statement)


@pytest.mark.parametrize("permission", ["read: analytics_db", "write: analytics_db"])
@pytest.mark.parametrize(
    "name",
    [
        "attach",
        "vacuum into",
        "load_extension",
        "two statements",
        "writable_schema",
        "pragma as a table",
        "pages",
        "fts3_tokenizer",
        "create table",
        "the temporary schema",
        "other schema",
    ],
)
def test_a_source_without_lists_is_no_door_either(
    pair: Path, permission: str, name: str
) -> None:
    refused(pair, OPEN, permission, READING[name])


# Any text of these words is a statement, or none: under `read` the file stays what it is.
WORDS = """
    SELECT INSERT INTO UPDATE DELETE FROM orders hidden cheap SET item price = 1 ( ) , ; *
    VALUES WITH a AS RETURNING ATTACH 'other.db' PRAGMA query_only OFF CREATE TABLE TEMP DROP
    REPLACE OR ROLLBACK COMMIT BEGIN UNION ALL WHERE NOT EXISTS JOIN main temp . VACUUM EXPLAIN
    sqlite_master load_extension json_each '[1]' trapped notes DEFAULT ON CONFLICT DO NOTHING
    """
WORD = st.sampled_from(WORDS.split())
TABLE = st.sampled_from(["orders", "hidden", "cheap", "trapped", "notes", "sqlite_master"])
QUERY = st.recursive(
    st.builds("SELECT {} FROM {}".format, st.sampled_from(["*", "count(*)", "rowid"]), TABLE),
    lambda inner: st.one_of(
        st.builds("SELECT * FROM ({})".format, inner),
        st.builds("WITH {} AS ({}) SELECT * FROM {}".format, TABLE, inner, TABLE),
        st.builds("SELECT 1 WHERE EXISTS ({})".format, inner),
        st.builds("{} UNION ALL {}".format, inner, inner),
    ),
    max_leaves=4,
)
CHANGE = st.one_of(
    st.builds("INSERT INTO {} {}".format, TABLE, QUERY),
    st.builds("DELETE FROM {} WHERE EXISTS ({}) RETURNING *".format, TABLE, QUERY),
    st.builds("UPDATE {} SET item = ({})".format, TABLE, QUERY),
    st.builds("CREATE TABLE x AS {}".format, QUERY),
    st.builds("CREATE VIEW x AS {}".format, QUERY),
    st.builds("{}; DELETE FROM {}".format, QUERY, TABLE),
    st.builds("WITH {} AS ({}) DELETE FROM {}".format, TABLE, QUERY, TABLE),
)
STATEMENT = st.one_of(QUERY, CHANGE, st.lists(WORD, max_size=12).map(" ".join))


@given(STATEMENT)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_statement_of_a_small_grammar_changes_or_leaks(pair: Path, statement: str) -> None:
    before = content(pair)
    _, said = outcome(pair, SOURCE, "read: analytics_db", statement)
    assert content(pair) == before
    assert HIDDEN not in said
    assert ELSEWHERE not in said
    assert "its process ended" not in said
