"""Ask a data source as a tool does, with the one permission that the guard allowed."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

from runner import tools
from runner.contract.errors import ToolFailed
from runner.contract.kinds import DataSource, Permission, Tool
from runner.tools import Bounds, Call
from runner.tools.sources import Source

ELSEWHERE = "canary of the other database"
HIDDEN = "canary of the other table"


def ask(
    files: Path,
    source: DataSource,
    permission: str,
    query: Any,
    parameters: Any = None,
    *,
    password: str | None = None,
    timeout: str = "20s",
    output_bytes_max: int = 262_144,
) -> str:
    """The text that a tool of type `sql` answers; ToolFailed."""
    tool = Tool.model_validate(
        {"type": "sql", "requires": [permission], "runtime": {"timeout": timeout}}
    )
    call = Call(
        "t:1",
        None,
        Bounds(files, (), output_bytes_max),
        permissions=(Permission.model_validate(permission),),
        sources={"analytics_db": Source(source, password)},
    )
    arguments = {"database": "other_db", "query": query, "parameters": parameters}
    return asyncio.run(tools.call(tool, arguments, call)).text


def rows(answer: str) -> list[list[Any]]:
    """The rows of an answer that is whole."""
    said = json.loads(answer)
    assert not said["truncated"], said
    return list(said["rows"])


def outcome(*given: Any, **more: Any) -> tuple[bool, str]:
    """Whether a call was refused, and all that was said."""
    try:
        return False, ask(*given, **more)
    except ToolFailed as error:
        return True, str(error)


def sqlite_pair(folder: Path, journal: str) -> None:
    """`analytics.db` with a table that may be touched and one that may not, and `other.db`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in (("analytics.db", ANALYTICS), ("other.db", OTHER)):
        connection = sqlite3.connect(folder / name)
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.executescript(f"PRAGMA synchronous = OFF; BEGIN; {script}; COMMIT;")
        connection.close()


ANALYTICS = f"""
CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT UNIQUE, price REAL);
INSERT INTO orders VALUES (1, 'lamp', 20.5), (2, 'chair', 90), (3, 'table', 310.25);
CREATE TABLE hidden (secret TEXT);
INSERT INTO hidden VALUES ('{HIDDEN}');
CREATE TABLE noted (item TEXT);
CREATE VIEW cheap AS SELECT item FROM orders WHERE price < 100;
CREATE VIEW peephole AS SELECT secret FROM hidden;
CREATE TABLE trapped (item TEXT);
CREATE TRIGGER leak AFTER INSERT ON trapped
BEGIN INSERT INTO noted SELECT secret FROM hidden; END;
CREATE VIRTUAL TABLE notes USING fts5 (body);
INSERT INTO notes VALUES ('a note about lamps');
CREATE VIEW reaching AS SELECT load_extension('nothing') AS x;
"""
OTHER = f"""
CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT);
INSERT INTO orders VALUES (1, '{ELSEWHERE}');
"""
