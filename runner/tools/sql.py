"""Tools of type `sql`: one statement on the data source that the allowed permission names.

Source and access come from what the guard resolved and allowed, never from the arguments:
`read` opens read-only, `write` lets rows of writable tables change, `admin` defines tables.
The database's own means hold the statement to that: `sql_sqlite`, `sql_postgresql`.
"""

import importlib
from typing import Any, Final

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.functions import folder
from runner.functions.table import SQLITE
from runner.tools import Answered, Call, function
from runner.tools.function import Needs, Work
from runner.tools.sources import Reach, reach

TEXT_MAX: Final = 100_000
PARAMETERS_MAX: Final = 1_000
MARGIN_S: Final = 1.0
"""A database stops a statement this long before the call is cut off, and says why."""

_POSTGRESQL: Final = "runner.tools.sql_postgresql"


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """`{"columns", "rows", "truncated"}` as JSON; ToolFailed."""
    to = reach(call.permissions, call.sources, "sqlite", "postgresql")
    text, parameters = _statement(arguments)
    limit_s = seconds(tool.runtime.timeout)
    limit_s = max(limit_s - MARGIN_S, limit_s / 2)
    if to.source.type == "sqlite":
        config = _config(to, limit_s, call.bounds.output_bytes_max)
        given = {"query": text, "parameters": parameters}
        # SQLite keeps its journal beside the file: who writes needs the folder.
        needs = Needs(folder.parts(to.source.path or "")[:-1], to.access != "read")
        return await function.run(tool, Work(SQLITE, given, config, needs), call)
    # Its library is large, and most workers never meet a PostgreSQL source.
    postgresql = importlib.import_module(_POSTGRESQL)
    answer: str = await postgresql.query(
        to, text, parameters, limit_s=limit_s, bytes_max=call.bounds.output_bytes_max
    )
    return Answered(answer)


def _statement(arguments: dict[str, Any]) -> tuple[str, list[Any]]:
    text, parameters = arguments.get("query"), arguments.get("parameters") or []
    if not isinstance(text, str) or not text.strip():
        raise ToolFailed("query must be one SQL statement", code=ToolCode.INVALID_INPUT)
    if len(text) > TEXT_MAX:
        raise ToolFailed(
            f"query is longer than {TEXT_MAX} characters", code=ToolCode.INVALID_INPUT
        )
    if "\x00" in text or text != text.encode("utf-8", "replace").decode():
        raise ToolFailed(
            "query holds a character that no SQL statement holds", code=ToolCode.INVALID_INPUT
        )
    if not isinstance(parameters, list) or len(parameters) > PARAMETERS_MAX:
        raise ToolFailed(
            "parameters must be a list, with one value for each placeholder",
            code=ToolCode.INVALID_INPUT,
        )
    for value in parameters:
        if not isinstance(value, str | int | float | None):
            raise ToolFailed(
                "a parameter is a text, a number, true, false or null",
                code=ToolCode.INVALID_INPUT,
            )
    return text, [_storable(value) for value in parameters]


def _storable(value: Any) -> Any:
    # Half of a surrogate pair becomes the `?` that the log holds.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _config(to: Reach, limit_s: float, bytes_max: int) -> dict[str, Any]:
    return {
        "path": to.source.path,
        "access": to.access,
        "tables": to.source.tables,
        "writable": to.source.writable,
        "rows_max": to.source.max_rows,
        "bytes_max": bytes_max,
        "limit_s": limit_s,
    }
