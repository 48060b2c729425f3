"""Each name before a `(` is found, and what could be read in two ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract.errors import ToolFailed
from runner.tools.sql_text import read


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("SELECT 1", set()),
        ("SELECT f(1)", {"f"}),
        ("SELECT F (1), G\n\t(2)", {"f", "g"}),
        ('SELECT "F"(1), "a""b"(2), a.b.c(3)', {"F", 'a"b', "c"}),
        ("SELECT 'f(1)', 'it''s g(2)'", set()),
        ('SELECT 1 AS "f(1)"', set()),
        ("SELECT 'x' 'y', f('z')", {"f"}),
        ("SELECT (SELECT 1), ((2))", {"select"}),
        ("SELECT a FROM t WHERE a IN (1) AND b = ANY(c)", {"in", "any"}),
        ("WITH r (n) AS (VALUES (1)) SELECT * FROM r", {"r", "as", "values"}),
        ("SELECT x::numeric(10, 2)", {"numeric"}),
        ("SELECT $1::int + ünï(2)", {"ünï"}),
        ("SELECT 1pg_sleep(2)", {"pg_sleep"}),
        ("SELECT K\u212a(1)", {"k\u212a"}),
        (" ; SELECT f(1) ; ;", {"f"}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(sorted(value)) or "none",
)
def test_names_before_a_parenthesis_are_found(text: str, called: set[str]) -> None:
    assert read(text, "read").called == called


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1;;SELECT 2",
        "SELECT 1 -- x",
        "SELECT 1--1",
        "SELECT /* x */ 1",
        "SELECT 2 */* x */ 1",
        "SELECT $$x$$",
        "SELECT $a$x$a$",
        "SELECT E'x'",
        "SELECT e'\\''",
        "SELECT B'1', X'f'",
        "SELECT N'x'",
        "SELECT U&'x'",
        'SELECT u&"x"',
        'SELECT a"b"',
        "SELECT 'x",
        'SELECT "x',
        'SELECT ""',
        "SELECT \\d",
        "SELECT 1\x00",
        "SELECT 1\x0b",
        "SELECT TREAT(1 AS pg_sleep)",
        "SELECT " + "x" * 64 + "(1)",
        'SELECT "' + "ü" * 32 + '"(1)',
    ],
    ids=str,
)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ToolFailed):
        read(text, "read")


@pytest.mark.parametrize(
    ("access", "text", "allowed"),
    [
        ("read", "SELECT 1", True),
        ("read", "((table t))", True),
        ("read", "INSERT INTO t VALUES (1)", False),
        ("read", "EXPLAIN SELECT 1", False),
        ("write", "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", True),
        ("write", "CREATE TABLE t ()", False),
        ("write", "SET x = 1", False),
        ("admin", "CREATE UNIQUE INDEX i ON t (a)", True),
        ("admin", "CREATE EXTENSION x", False),
        ("admin", 'CREATE "table" FUNCTION x', False),
        ("admin", "DELETE FROM t", False),
        ("admin", "CREATE", False),
        ("read", "", False),
        ("read", '"select" 1', False),
    ],
    ids=str,
)
def test_an_access_has_its_kinds_of_statement(access: str, text: str, allowed: bool) -> None:
    if allowed:
        read(text, access)
    else:
        with pytest.raises(ToolFailed):
            read(text, access)


PIECE = st.sampled_from(
    ["'", "''", '"', "(", ")", " ", "f", "F(", "pg_sleep(", "\n", "$", "$$", "e", "E'", "--"]
    + ["/*", "*/", "\\", ";", "U&", "1", "select ", ","]
)


@given(st.lists(PIECE, max_size=12).map("".join))
def test_a_call_outside_of_quotes_is_never_missed(noise: str) -> None:
    try:
        found = read(f"SELECT {noise} , pg_sleep(1)", "read")
    except ToolFailed:
        return
    # Whatever is accepted has even quotes, so the call at its end is code, and is found.
    assert "pg_sleep" in found.called
