"""A PostgreSQL source answers under its login, and under no other access than it was given.

The server is real. What it holds is compared row by row before and after each attack; what
stands in the other database, and in a table that is not listed, shows in no answer.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import postgresql_server
import psycopg
import pytest
from data_sources import ELSEWHERE, HIDDEN, ask, outcome, rows
from postgresql_server import ADMINISTRATOR, Server
from psycopg import sql

from runner.contract.errors import ToolFailed
from runner.contract.kinds import DataSource
from runner.tools import sql_postgresql
from runner.tools.sources import Reach
from runner.tools.sql_text import Statement

READ, WRITE, ADMIN = "read: analytics_db", "write: analytics_db", "admin: analytics_db"
PASSWORD = "a password of the login"
LISTED = ["orders", "cheap", "peephole", "trapped", "parts", "lines"]


@dataclass(frozen=True)
class Place:
    """A database of its own with a login of few rights; and another one beside it."""

    server: Server
    database: str
    login: str
    watch: psycopg.Connection[Any]
    first: list[Any] = field(default_factory=list)
    """What it held when it was made; nothing that is refused may change it."""

    def source(self, **more: Any) -> DataSource:
        fields = {"tables": LISTED, "writable": ["orders", "parts", "lines"], **more}
        login = fields.pop("login", self.login)
        url = f"postgresql://{login}@127.0.0.1:{self.server.port}/{self.database}"
        return DataSource.model_validate({"type": "postgresql", "url": url, **fields})

    def content(self) -> list[Any]:
        """Every row of every table, and how much there is of all that is not in tables."""
        return self.watch.execute(CONTENT).fetchall()


CONTENT = """
SELECT schema_to_xml('public', true, true, '')::text,
  (SELECT array_agg((oid, lomowner)) FROM pg_largeobject_metadata),
  (SELECT array_agg(md5(data)) FROM pg_largeobject),
  (SELECT count(*) FROM pg_extension), (SELECT count(*) FROM pg_proc),
  (SELECT count(*) FROM pg_trigger), (SELECT array_agg(rolname) FROM pg_roles),
  (SELECT count(*) FROM pg_db_role_setting), (SELECT array_agg(datname) FROM pg_database),
  (SELECT array_agg((relname, relkind)) FROM pg_class WHERE oid >= 16384
    AND relkind NOT IN ('i', 't')),
  (SELECT last_value FROM lines_id_seq WHERE is_called),
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
"""


@contextmanager
def made(server: Server, database: str) -> Iterator[Place]:
    """A database with everything in it; it goes away with the server."""
    server.create(database)
    server.execute(SCHEMA, database=database)
    server.execute(GRANTS, database=database)
    with psycopg.connect(
        host=str(server.sockets),
        port=server.port,
        user=ADMINISTRATOR,
        dbname=database,
        autocommit=True,
    ) as watch:
        found = Place(server, database, "reader", watch)
        found.first.extend(found.content())
        yield found


@pytest.fixture(scope="module")
def place(postgresql: Server) -> Iterator[Place]:
    postgresql.create("elsewhere")
    postgresql.execute(OTHER, database="elsewhere")
    login = sql.SQL("CREATE ROLE reader LOGIN PASSWORD {}").format(sql.Literal(PASSWORD))
    postgresql.execute(login)
    postgresql.execute("CREATE ROLE narrow")
    postgresql.execute("GRANT narrow TO reader")
    with made(postgresql, "analytics") as found:
        yield found


@pytest.fixture(scope="module")
def changing(postgresql: Server, place: Place) -> Iterator[Place]:
    """One that tests may change."""
    with made(postgresql, "changing") as found:
        yield found


OTHER = f"CREATE TABLE orders (item text); INSERT INTO orders VALUES ('{ELSEWHERE}')"
SCHEMA = f"""
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION pg_trgm;
CREATE TABLE orders (id int PRIMARY KEY, item text UNIQUE, price float8);
INSERT INTO orders VALUES (1, 'lamp', 20.5), (2, 'chair', 90), (3, 'table', 310.25);
CREATE TABLE hidden (secret text);
INSERT INTO hidden VALUES ('{HIDDEN}');
CREATE TABLE noted (item text);
CREATE VIEW cheap AS SELECT item FROM orders WHERE price < 100;
CREATE VIEW peephole AS SELECT secret FROM hidden;
CREATE TABLE trapped (item text);
CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parts_2026 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE lines (id serial PRIMARY KEY, orders int REFERENCES orders
  DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION leak() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO noted SELECT secret FROM hidden; RETURN NEW; END';
CREATE TRIGGER leak AFTER INSERT ON trapped FOR EACH ROW EXECUTE FUNCTION leak();
CREATE FUNCTION sneak(text) RETURNS text LANGUAGE plpgsql AS
  'DECLARE found text; BEGIN EXECUTE $1 INTO found; RETURN found; END';
CREATE FUNCTION of_order(orders) RETURNS text LANGUAGE sql AS 'SELECT secret FROM hidden';
CREATE FUNCTION lower(orders) RETURNS text LANGUAGE sql AS 'SELECT secret FROM hidden';
CREATE SERVER beside FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'elsewhere');
CREATE FOREIGN TABLE far (item text) SERVER beside OPTIONS (table_name 'orders');
SELECT lo_from_bytea(4711, '{HIDDEN}');
"""
GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO reader;
GRANT CREATE ON SCHEMA public TO reader;
GRANT SELECT ON orders TO narrow;
GRANT SELECT ON LARGE OBJECT 4711 TO reader;
"""

ANY = {
    "two statements": "SELECT 1; DELETE FROM orders",
    "commit and write": "COMMIT; DELETE FROM orders",
    "select, commit and write": "SELECT 1; COMMIT; DELETE FROM orders; BEGIN",
    "begin": "BEGIN",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "commit and chain": "COMMIT AND CHAIN",
    "prepare transaction": "PREPARE TRANSACTION 'x'",
    "savepoint": "SAVEPOINT x",
    "set transaction": "SET TRANSACTION READ WRITE",
    "set session": "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "set read only off": "SET transaction_read_only = off",
    "set role": "SET ROLE postgres",
    "reset role": "RESET ROLE",
    "set authorization": "SET SESSION AUTHORIZATION postgres",
    "reset all": "RESET ALL",
    "discard": "DISCARD ALL",
    "set search path": "SET search_path = elsewhere",
    "set by function": "SELECT set_config('transaction_read_only', 'off', true)",
    "role by function": "SELECT set_config('role', 'none', true)",
    "set by update": "UPDATE pg_settings SET setting = 'off' WHERE name = 'row_security'",
    "update pg_class": "UPDATE pg_class SET relname = 'x'",
    "do": "DO 'BEGIN DELETE FROM orders; END'",
    "do in dollars": "DO $$ BEGIN DELETE FROM orders; END $$",
    "call": "CALL sneak('x')",
    "prepare": "PREPARE x AS DELETE FROM orders",
    "execute": "EXECUTE x",
    "declare": "DECLARE x CURSOR WITH HOLD FOR SELECT * FROM hidden",
    "fetch": "FETCH ALL FROM answer",
    "listen": "LISTEN x",
    "notify": "NOTIFY x, 'y'",
    "lock": "LOCK TABLE orders",
    "vacuum": "VACUUM orders",
    "analyze": "ANALYZE orders",
    "checkpoint": "CHECKPOINT",
    "load": "LOAD 'x'",
    "grant": "GRANT ALL ON hidden TO public",
    "alter role": "ALTER ROLE reader SUPERUSER",
    "alter system": "ALTER SYSTEM SET work_mem = '1GB'",
    "create role": "CREATE ROLE x",
    "create database": "CREATE DATABASE x",
    "create extension": "CREATE EXTENSION adminpack",
    "create function": "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "create server": "CREATE SERVER x FOREIGN DATA WRAPPER postgres_fdw",
    "create subscription": "CREATE SUBSCRIPTION x CONNECTION 'dbname=elsewhere' PUBLICATION p",
    "create rule": "CREATE RULE x AS ON SELECT TO orders DO INSTEAD SELECT 1",
    "create trigger": (
        "CREATE TRIGGER x AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION leak()"
    ),
    "create temporary table": "CREATE TEMP TABLE x (a int)",
    "explained": "EXPLAIN ANALYZE DELETE FROM orders",
    "explained create": "EXPLAIN CREATE TABLE x AS SELECT * FROM orders",
    "copy from": "COPY orders FROM '/etc/passwd'",
    "copy to": "COPY orders TO '/tmp/stolen'",
    "copy program": "COPY orders TO PROGRAM 'touch /tmp/stolen'",
    "copy to us": "COPY hidden TO STDOUT",
    "copy from us": "COPY orders FROM STDIN",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
    "read bytes of a file": "SELECT pg_read_binary_file('PG_VERSION')",
    "list a folder": "SELECT pg_ls_dir('.')",
    "stat a file": "SELECT * FROM pg_stat_file('PG_VERSION')",
    "list logs": "SELECT * FROM pg_ls_logdir()",
    "log": "SELECT pg_current_logfile()",
    "large object export": "SELECT lo_export(4711, '/tmp/stolen')",
    "large object import": "SELECT lo_import('/etc/passwd')",
    "large object read": "SELECT lo_get(4711)",
    "large object open": "SELECT loread(lo_open(4711, 262144), 100)",
    "large object made": "SELECT lo_create(0)",
    "large object from bytes": "SELECT lo_from_bytea(0, 'x')",
    "large object put": "SELECT lo_put(4711, 0, 'x')",
    "large object removed": "SELECT lo_unlink(4711)",
    "large object table": "SELECT * FROM pg_largeobject",
    "large object owners": "SELECT * FROM pg_catalog.pg_largeobject_metadata",
    "dblink": "SELECT * FROM dblink('dbname=elsewhere', 'TABLE orders') AS t (a text)",
    "dblink connect": "SELECT dblink_connect('dbname=elsewhere')",
    "dblink exec": "SELECT dblink_exec('dbname=elsewhere', 'DELETE FROM orders')",
    "foreign table": "SELECT * FROM far",
    "foreign servers": "SELECT postgres_fdw_get_connections()",
    "another database": "SELECT * FROM elsewhere.public.orders",
    "other sessions": "SELECT query FROM pg_stat_activity",
    "other sessions by function": "SELECT * FROM pg_stat_get_activity(NULL)",
    "other databases": "SELECT datname FROM pg_database",
    "roles": "SELECT * FROM pg_roles",
    "passwords": "SELECT * FROM pg_authid",
    "terminate": "SELECT pg_terminate_backend(pg_backend_pid())",
    "cancel": "SELECT pg_cancel_backend(1)",
    "reload": "SELECT pg_reload_conf()",
    "sleep": "SELECT pg_sleep(100)",
    "sleep by a type's name": "SELECT TREAT(100 AS pg_sleep)",
    "sleep in quotes": 'SELECT "pg_sleep"(100)',
    "sleep with unicode": 'SELECT U&"pg\\005fsleep"(100)',
    "sleep with its own escape": "SELECT U&\"pg!005fsleep\" UESCAPE '!' (100)",
    "sleep behind a comment": "SELECT pg_sleep/**/(100)",
    "sleep behind a line comment": "SELECT pg_sleep -- x\n(100)",
    "sleep with its schema": "SELECT pg_catalog . pg_sleep (100)",
    "sleep on a new line": "SELECT pg_sleep\n\n(100)",
    "sleep in capitals": "SELECT PG_SLEEP(100)",
    "sleep behind a text": "SELECT 'a' 'b', pg_sleep(100)",
    "sleep behind an escaped text": "SELECT E'\\', pg_sleep(100), '",
    "sleep behind a dollar text": "SELECT $a$ ' $a$, pg_sleep(100)",
    "sleep in from": "SELECT * FROM pg_sleep(100)",
    "sleep in rows from": "SELECT * FROM ROWS FROM (pg_sleep(100), generate_series(1, 2)) x",
    "sleep in an order": "SELECT 1 FROM orders ORDER BY pg_sleep(100)",
    "advisory lock": "SELECT pg_advisory_lock(1)",
    "notify by function": "SELECT pg_notify('x', 'y')",
    "sequence": "SELECT nextval('lines_id_seq')",
    "sequence set": "SELECT setval('lines_id_seq', 100)",
    "sequence table": "SELECT last_value FROM hidden, lines_id_seq",
    "text as a statement": "SELECT query_to_xml('SELECT * FROM hidden', true, true, '')",
    "table as xml": "SELECT table_to_xml('hidden', true, true, '')",
    "database as xml": "SELECT database_to_xml(true, true, '')",
    "cursor as xml": "SELECT cursor_to_xml('answer', 1, true, true, '')",
    "text search statement": "SELECT * FROM ts_stat('SELECT secret::tsvector FROM hidden')",
    "rewritten search": "SELECT ts_rewrite('a'::tsquery, 'SELECT a, b FROM hidden')",
    "function of the database": "SELECT sneak('SELECT secret FROM hidden')",
    "function that writes": "SELECT sneak('DELETE FROM orders RETURNING item')",
    "function by attribute": "SELECT orders.of_order FROM orders",
    "function of a known name": "SELECT lower(orders) FROM orders",
    "function of a known name by attribute": "SELECT orders.lower FROM orders",
    "catalog": "SELECT relname FROM pg_class",
    "information schema": "SELECT * FROM information_schema.tables",
    "statistics": "SELECT * FROM pg_stats",
    "settings": "SELECT current_setting('data_directory')",
    "server": "SELECT version()",
    "address": "SELECT inet_server_addr()",
    "snapshot": "SELECT pg_export_snapshot()",
    "hidden": "SELECT * FROM hidden",
    "hidden in quotes": 'SELECT * FROM public."hidden"',
    "hidden in a subquery": "SELECT (SELECT secret FROM hidden)",
    "hidden in exists": "SELECT 1 WHERE EXISTS (SELECT FROM hidden)",
    "hidden that is never read": "SELECT 1 FROM hidden WHERE false",
    "hidden counted": "SELECT count(*) FROM hidden",
    "hidden by a short form": "TABLE hidden",
    "hidden in a lateral": "SELECT * FROM orders, LATERAL (SELECT * FROM hidden) h",
    "hidden in a union": "SELECT item FROM orders UNION SELECT secret FROM hidden",
    "hidden in a limit": "SELECT 1 LIMIT (SELECT count(*) FROM hidden)",
    "hidden behind with": "WITH a AS (SELECT * FROM hidden) SELECT * FROM a",
    "hidden as a listed view": "WITH cheap AS (SELECT * FROM hidden) SELECT * FROM cheap",
    "hidden behind a listed view": "SELECT * FROM peephole",
    "hidden in an error": "SELECT secret::int FROM hidden",
    "hidden in an error of a view": "SELECT secret::int FROM peephole",
    "hidden in parentheses": "((SELECT secret FROM hidden))",
    "into": "SELECT * INTO x FROM orders",
    "into temporary": "SELECT * INTO TEMP x FROM orders",
    "closed early": "SELECT 1) TO '/tmp/x",
    "open text": "SELECT 'x",
    "empty": " ; ",
    "only a comment": "-- x",
    "zero byte": "SELECT 1\x00",
    "nonsense": "SELEKT 1",
}
READING = {
    "insert": "INSERT INTO orders VALUES (9, 'x', 1)",
    "update": "UPDATE orders SET price = 0",
    "delete": "DELETE FROM orders",
    "merge": "MERGE INTO orders USING cheap ON true WHEN MATCHED THEN DELETE",
    "truncate": "TRUNCATE orders",
    "insert behind with": "WITH a AS (INSERT INTO orders VALUES (9) RETURNING *) TABLE a",
    "delete behind with": "WITH a AS (DELETE FROM orders RETURNING *) SELECT * FROM a",
    "delete deep behind with": (
        "SELECT * FROM (WITH a AS (DELETE FROM orders RETURNING *) SELECT * FROM a) b"
    ),
    "locked rows": "SELECT * FROM orders FOR UPDATE",
    "shared rows": "SELECT * FROM orders FOR KEY SHARE",
    "create table": "CREATE TABLE x (a int)",
    "create as select": "CREATE TABLE x AS TABLE orders",
    "drop": "DROP TABLE orders",
}
WRITING = {
    "hidden": "INSERT INTO hidden VALUES ('x')",
    "hidden read": "INSERT INTO orders SELECT 7, secret FROM hidden",
    "hidden read in an error": "INSERT INTO orders SELECT secret::int FROM hidden",
    "hidden read by returning": "DELETE FROM orders RETURNING (SELECT secret FROM hidden)",
    "hidden read by using": "DELETE FROM orders USING hidden RETURNING secret",
    "hidden behind with": "WITH a AS (DELETE FROM hidden RETURNING 1) SELECT 1 FROM orders",
    "hidden merged": (
        "MERGE INTO orders USING hidden ON item = secret WHEN NOT MATCHED THEN "
        "INSERT VALUES (7, secret)"
    ),
    "listed but not writable": "UPDATE trapped SET item = 'x'",
    "trigger that leaks": "INSERT INTO trapped VALUES ('x')",
    "through a view": "INSERT INTO peephole VALUES ('x')",
    "foreign": "INSERT INTO far VALUES ('x')",
    "foreign key, late": "INSERT INTO lines VALUES (99, 77)",
    "half of it fails": "INSERT INTO orders VALUES (7, 'new'), (1, 'again')",
    "create table": "CREATE TABLE x (a int)",
    "drop": "DROP TABLE orders",
    "truncate": "TRUNCATE orders",
}
OPEN_DOORS = [
    "two statements",
    "do",
    "copy program",
    "dblink",
    "dblink exec",
    "foreign table",
    "another database",
    "other sessions",
    "other sessions by function",
    "roles",
    "large object read",
    "large object made",
    "large object table",
    "terminate",
    "sleep by a type's name",
    "set by function",
    "text as a statement",
    "function of the database",
    "function of a known name",
    "update pg_class",
    "into",
    "create temporary table",
    "create extension",
]
HONEST = {
    "SELECT count(*) FROM orders;": [[3]],
    "SELECT item FROM cheap ORDER BY 1": [["chair"], ["lamp"]],
    "WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 9) "
    "SELECT max(n) FROM r": [[9]],
    "SELECT upper(item) || ';--' FROM orders WHERE id IN (1)": [["LAMP;--"]],
    "(SELECT 1) UNION (SELECT 2) ORDER BY 1": [[1], [2]],
    "SELECT sum(price) OVER (ORDER BY id) FROM orders LIMIT 1": [[20.5]],
    "SELECT 'it''s' AS \"a (b)\", extract(year FROM date '2026-05-04')": [["it's", "2026"]],
    "SELECT count(*) FROM parts": [[0]],
    "SELECT x::numeric(10, 2) FROM generate_series(1, 2) AS s (x)": [["1.00"], ["2.00"]],
    "SELECT similarity(item, 'lamp') FROM orders WHERE id = 1": [[1.0]],
    "TABLE cheap LIMIT 0": [],
}
SLOW = "too long; ask"


def refused(place: Place, source: DataSource, permission: str, statement: str) -> None:
    was_refused, said = outcome(
        Path("/nowhere"), source, permission, statement, password=PASSWORD
    )
    assert place.content() == place.first
    assert ELSEWHERE not in said
    assert HIDDEN not in said
    assert was_refused, said
    assert SLOW not in said, "it ran until its time was over"


@pytest.mark.parametrize("statement", [*ANY.values(), *READING.values()], ids=[*ANY, *READING])
def test_an_attack_on_a_read_is_refused(place: Place, statement: str) -> None:
    refused(place, place.source(), READ, statement)


@pytest.mark.parametrize("statement", [*ANY.values(), *WRITING.values()], ids=[*ANY, *WRITING])
def test_an_attack_on_a_write_is_refused(place: Place, statement: str) -> None:
    refused(place, place.source(), WRITE, statement)


@pytest.mark.parametrize("permission", [READ, WRITE])
@pytest.mark.parametrize("name", OPEN_DOORS)
def test_a_source_without_lists_is_no_door_either(
    place: Place, permission: str, name: str
) -> None:
    refused(place, place.source(tables=[], writable=[]), permission, ANY[name])


@pytest.mark.parametrize("statement", HONEST, ids=str)
def test_an_honest_read_is_answered(place: Place, statement: str) -> None:
    source = place.source(functions=["public.similarity"])
    answer = ask(Path("/nowhere"), source, READ, statement, password=PASSWORD)
    assert rows(answer) == HONEST[statement]


# Behind the first fence: the same when nothing is known of the text.

SERVER_ALONE = {
    "two statements": ("SELECT 1; DELETE FROM orders", "multiple commands"),
    "commit and write": ("SELECT 1; COMMIT; DELETE FROM orders", "multiple commands"),
    "read only off": (
        "SELECT set_config('transaction_read_only', 'off', true)",
        "must be set before any query",
    ),
    "read only off and write": (
        "SELECT set_config('transaction_read_only', 'off', true), "
        "sneak('DELETE FROM orders RETURNING item')",
        "must be set before any query",
    ),
    "another role": ("SELECT set_config('role', 'narrow', true)", "changed its own role"),
    "a function that writes": (
        "SELECT sneak('DELETE FROM orders RETURNING item')",
        "in a read-only transaction",
    ),
    "a function that reads": ("SELECT sneak('SELECT secret FROM hidden')", "reach hidden"),
    "a text that reads": (
        "SELECT query_to_xml('SELECT * FROM hidden', true, true, '')",
        "reach hidden",
    ),
    "a function of an attribute": ("SELECT orders.of_order FROM orders", "reach hidden"),
    "a sequence": ("SELECT nextval('lines_id_seq')", "in a read-only transaction"),
    "a large object": ("SELECT lo_get(4711)", "reach pg_largeobject"),
    "a large object made": ("SELECT lo_create(4712)", None),
    "a large object changed": ("SELECT lo_put(4711, 0, 'x')", None),
    "a file": ("SELECT pg_read_file('PG_VERSION')", "permission denied"),
    "a file written": ("SELECT lo_export(4711, '/tmp/stolen')", "permission denied"),
    "other databases": ("SELECT datname FROM pg_database", "reach pg_database"),
    "waiting": ("SELECT pg_sleep(100)", "takes too long"),
    "the end of another session": (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "reach pg_",
    ),
    "written behind with": (
        "WITH a AS (DELETE FROM orders RETURNING *) TABLE a",
        "reach orders",
    ),
    "into": ("SELECT * INTO x FROM orders", "not allowed"),
    "no query": ("DELETE FROM orders", "reach orders"),
    "locked rows": ("SELECT * FROM orders FOR UPDATE", "in a read-only transaction"),
    "temporary table": ("SELECT sneak('CREATE TEMP TABLE x AS TABLE hidden')", None),
    "foreign table": ("SELECT * FROM far", "reach far"),
}


@pytest.mark.parametrize(
    ("statement", "reason"), SERVER_ALONE.values(), ids=SERVER_ALONE.keys()
)
def test_the_server_holds_a_read_whose_text_nobody_looked_at(
    place: Place, statement: str, reason: str | None
) -> None:
    to = Reach("analytics_db", place.source(), "read", PASSWORD)
    given = Statement(statement, frozenset())
    try:
        said = asyncio.run(
            sql_postgresql.carry_out(to, given, [], limit_s=1.0, bytes_max=10_000)
        )
        # PostgreSQL before 16 lets large objects be written here; it is rolled back.
        assert reason is None, said
    except ToolFailed as error:
        said = str(error)
    assert reason is None or reason in said
    assert HIDDEN not in said
    assert place.content() == place.first


# Who the login is.


@pytest.mark.parametrize(
    "grant",
    [
        "ALTER ROLE strong SUPERUSER",
        "ALTER ROLE strong CREATEROLE",
        "ALTER ROLE strong REPLICATION",
        "GRANT pg_read_server_files TO strong",
        "GRANT pg_write_server_files TO strong",
        "GRANT pg_execute_server_program TO strong",
        "GRANT pg_signal_backend TO strong",
        "GRANT pg_monitor TO strong",
        "CREATE ROLE boss SUPERUSER; GRANT boss TO strong; ALTER ROLE strong NOINHERIT",
        "CREATE ROLE between; GRANT pg_read_server_files TO between; GRANT between TO strong",
    ],
    ids=str,
)
def test_a_login_that_could_step_out_of_its_database_is_refused(
    place: Place, grant: str
) -> None:
    server = place.server
    server.execute("CREATE ROLE strong LOGIN PASSWORD 'strong'")
    try:
        server.execute(grant)
        source = place.source(login="strong", tables=[], writable=[])
        for permission in (READ, WRITE, ADMIN):
            text = "CREATE TABLE x ()" if permission == ADMIN else "SELECT 1"
            with pytest.raises(ToolFailed, match="beyond its database; give the source a log"):
                ask(Path("/nowhere"), source, permission, text, password="strong")
    finally:
        server.execute("DROP ROLE IF EXISTS strong, boss, between")


@pytest.mark.parametrize(
    "function",
    [
        "CREATE FUNCTION of_all(orders) RETURNS text LANGUAGE sql SECURITY DEFINER AS "
        "'SELECT secret FROM hidden'",
        "CREATE FUNCTION of_any(anyelement) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS "
        "'BEGIN RETURN 1; END'",
        "CREATE FUNCTION plus(text, text) RETURNS text LANGUAGE sql SECURITY DEFINER AS "
        "'SELECT secret FROM hidden'; CREATE OPERATOR <=# (FUNCTION = plus, "
        "LEFTARG = text, RIGHTARG = text)",
    ],
    ids=["attribute", "any attribute", "operator"],
)
def test_a_function_with_rights_of_its_own_that_no_text_shows_closes_the_source(
    changing: Place, function: str
) -> None:
    name = function.split("(")[0].split()[-1]
    changing.watch.execute(function)
    try:
        with pytest.raises(ToolFailed, match=f"may execute public.{name}, which has rights"):
            ask(Path("/nowhere"), changing.source(), READ, "SELECT 1", password=PASSWORD)
        named = changing.source(functions=[f"public.{name}"])
        ask(Path("/nowhere"), named, READ, "SELECT 1", password=PASSWORD)
    finally:
        changing.watch.execute("DROP OPERATOR IF EXISTS <=# (text, text)")
        changing.watch.execute(f"DROP FUNCTION {name}")


def test_a_role_is_what_the_statement_runs_as(place: Place) -> None:
    source = place.source(role="narrow", tables=[], writable=[])
    query = "SELECT count(*) FROM orders"
    assert rows(ask(Path("/nowhere"), source, READ, query, password=PASSWORD)) == [[3]]
    assert rows(
        ask(Path("/nowhere"), source, READ, "SELECT current_user", password=PASSWORD)
    ) == [["narrow"]]
    for statement in ("SELECT * FROM trapped", "SELECT * FROM hidden"):
        with pytest.raises(ToolFailed, match="permission denied"):
            ask(Path("/nowhere"), source, READ, statement, password=PASSWORD)


def test_a_role_that_the_login_does_not_have_is_refused(place: Place) -> None:
    source = place.source(role=ADMINISTRATOR)
    with pytest.raises(ToolFailed, match="permission denied to set role"):
        ask(Path("/nowhere"), source, READ, "SELECT 1", password=PASSWORD)


# What is answered.


def test_a_query_gets_its_parameters(place: Place) -> None:
    query = "SELECT id, $3::bool, $4::text FROM orders WHERE price > $1 AND item <> $2"
    given = [50.5, "x'; DROP TABLE orders", True, None]
    answer = ask(Path("/nowhere"), place.source(), READ, query, given, password=PASSWORD)
    assert rows(answer) == [[2, True, None], [3, True, None]]


def test_what_json_would_bend_is_tagged(place: Place) -> None:
    query = (
        "SELECT 9007199254740991, 9007199254740992, 'NaN'::float8, '-infinity'::float4, "
        "decode('00ff', 'hex'), 1.10::numeric, date 'infinity', array[1, 2], "
        "json_build_object('a', 1), null, 'ünï'"
    )
    assert rows(ask(Path("/nowhere"), place.source(), READ, query, password=PASSWORD)) == [
        [
            9007199254740991,
            {"$integer": "9007199254740992"},
            {"$number": "NaN"},
            {"$number": "-Infinity"},
            {"$base64": "AP8="},
            "1.10",
            "infinity",
            "{1,2}",
            '{"a" : 1}',
            None,
            "ünï",
        ]
    ]


def test_rows_are_cut_at_the_source_s_bound(place: Place) -> None:
    source = place.source(max_rows=150)
    query = "SELECT x FROM generate_series(1, 10000) AS s (x)"
    answer = json.loads(ask(Path("/nowhere"), source, READ, query, password=PASSWORD))
    assert (len(answer["rows"]), answer["truncated"]) == (150, True)


def test_a_statement_without_end_is_stopped(place: Place) -> None:
    query = "SELECT count(*) FROM generate_series(1, 1000000000000)"
    with pytest.raises(ToolFailed, match="takes too long; ask for less"):
        ask(Path("/nowhere"), place.source(), READ, query, password=PASSWORD, timeout="2s")


def test_a_server_that_is_not_there_is_said_and_tried_again(place: Place) -> None:
    url = f"postgresql://reader@127.0.0.1:{postgresql_server.free_port()}/analytics"
    source = DataSource(type="postgresql", url=url)
    with pytest.raises(ToolFailed, match="analytics_db cannot be reached") as failed:
        ask(Path("/nowhere"), source, READ, "SELECT 1", password=PASSWORD)
    assert failed.value.retryable


def test_no_error_tells_the_password(place: Place) -> None:
    wrong = "a password that is wrong"
    with pytest.raises(ToolFailed, match="cannot be reached") as failed:
        ask(Path("/nowhere"), place.source(), READ, "SELECT 1", password=wrong)
    assert wrong not in str(failed.value)


# What is written.


def test_a_write_is_kept_and_counted(changing: Place) -> None:
    source = changing.source()
    for query, changed in (
        ("INSERT INTO orders (id, item) VALUES (10, 'a'), (11, 'b') RETURNING id", 2),
        ("UPDATE orders SET price = 5 WHERE id >= 10", 2),
        ("INSERT INTO parts VALUES (1, '2026-05-01')", 1),
        ("INSERT INTO lines (orders) VALUES (10)", 1),
        ("WITH gone AS (DELETE FROM lines RETURNING 1) SELECT * FROM gone", 1),
        ("MERGE INTO orders USING (VALUES (11)) v (n) ON id = n WHEN MATCHED THEN DELETE", 1),
    ):
        answer = ask(Path("/nowhere"), source, WRITE, query, password=PASSWORD)
        assert json.loads(answer)["changed"] == changed, query
    query = "SELECT id, price FROM orders WHERE id >= 10"
    assert changing.watch.execute(query).fetchall() == [(10, 5.0)]


def test_a_trigger_needs_what_it_touches_to_be_listed(changing: Place) -> None:
    query = "INSERT INTO trapped VALUES ('x')"
    writable = ["trapped"]
    with pytest.raises(ToolFailed, match=r"does not reach (hidden|noted)"):
        ask(
            Path("/nowhere"),
            changing.source(writable=writable),
            WRITE,
            query,
            password=PASSWORD,
        )
    tables = [*LISTED, "hidden", "noted"]
    source = changing.source(tables=tables, writable=writable)
    with pytest.raises(ToolFailed, match="does not reach noted"):
        ask(Path("/nowhere"), source, WRITE, query, password=PASSWORD)
    source = changing.source(tables=tables, writable=["trapped", "noted"])
    ask(Path("/nowhere"), source, WRITE, query, password=PASSWORD)
    assert changing.watch.execute("SELECT count(*) FROM noted").fetchall() == [(1,)]


def test_admin_defines_the_tables_of_its_list(changing: Place) -> None:
    listed = changing.source(tables=["made", "orders"], writable=[])
    other = changing.source(tables=["orders"], writable=[])
    for statement in (
        "CREATE TABLE made (a int PRIMARY KEY, b numeric(10, 2) DEFAULT 0)",
        "ALTER TABLE made ADD COLUMN c text",
        "CREATE UNIQUE INDEX made_c ON made (c)",
        "DROP INDEX made_c",
        "DROP TABLE made",
    ):
        for source, permission in ((other, ADMIN), (listed, WRITE), (listed, READ)):
            with pytest.raises(ToolFailed):
                ask(Path("/nowhere"), source, permission, statement, password=PASSWORD)
        ask(Path("/nowhere"), listed, ADMIN, statement, password=PASSWORD)
    for statement in (
        "CREATE TABLE made AS TABLE hidden",
        "CREATE VIEW made AS TABLE hidden",
        "CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE made (a int DEFAULT pg_backend_pid())",
        "CREATE EXTENSION lo",
        "DELETE FROM orders",
    ):
        was_refused, said = outcome(
            Path("/nowhere"), listed, ADMIN, statement, password=PASSWORD
        )
        assert was_refused, said
    gone = "SELECT to_regclass('made') IS NULL, (SELECT count(*) > 0 FROM orders)"
    assert changing.watch.execute(gone).fetchall() == [(True, True)]
