"""What SQLite asks while it compiles a statement: may it do that? Unknown is no.

Standard library only: it runs in the process of `sql_sqlite`. Every table, column, function
and kind of statement comes by here before anything runs, those behind views, triggers and
virtual tables as well.

A view or trigger widens nothing: what it reaches has to be listed too. SQLite does tell
through which view it comes, but a query that names a `WITH` table like the view is told in
the same way.
"""

import sqlite3
from contextlib import suppress
from typing import Any, Final

_FUNCTION_NAMES: Final = """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling changes char
    coalesce concat concat_ws cos cosh count cume_dist current_date current_time
    current_timestamp date datetime degrees dense_rank exp first_value floor format glob
    group_concat hex highlight if ifnull iif instr json json_array json_array_length
    json_error_position json_extract json_group_array json_group_object json_insert
    json_object json_patch json_pretty json_quote json_remove json_replace json_set json_type
    json_valid julianday lag last_insert_rowid last_value lead length like likelihood likely
    ln log log10 log2 lower ltrim match matchinfo max min mod nth_value ntile nullif
    octet_length offsets percent_rank pi pow power printf quote radians random randomblob
    rank replace round row_number rtrim sign sin sinh snippet soundex sqrt strftime
    string_agg substr substring sum tan tanh time timediff total total_changes trim trunc
    typeof unhex unicode unixepoch unlikely upper zeroblob
"""
_FUNCTIONS: Final = frozenset(_FUNCTION_NAMES.split())
_ALTERING: Final = frozenset(
    {
        "sqlite_drop_column",
        "sqlite_rename_column",
        "sqlite_rename_quotefix",
        "sqlite_rename_table",
        "sqlite_rename_test",
    }
)
_EPONYMOUS: Final = frozenset({"json_each", "json_tree"})
_SCHEMA: Final = "sqlite_master"
_KEPT: Final = frozenset({_SCHEMA, "sqlite_temp_master", "sqlite_sequence", "sqlite_stat1"})
"""What a change of the schema writes along; a statement that names it is refused by SQLite."""

_WRITES: Final = {
    sqlite3.SQLITE_INSERT: "insert into",
    sqlite3.SQLITE_UPDATE: "update",
    sqlite3.SQLITE_DELETE: "delete from",
}
# Which of the two values that the authorizer is handed names the table.
_DEFINES: Final = {
    sqlite3.SQLITE_CREATE_INDEX: 1,
    sqlite3.SQLITE_CREATE_TABLE: 0,
    sqlite3.SQLITE_CREATE_TRIGGER: 1,
    sqlite3.SQLITE_CREATE_VIEW: 0,
    sqlite3.SQLITE_DROP_INDEX: 1,
    sqlite3.SQLITE_DROP_TABLE: 0,
    sqlite3.SQLITE_DROP_TRIGGER: 1,
    sqlite3.SQLITE_DROP_VIEW: 0,
    sqlite3.SQLITE_ALTER_TABLE: 1,
}


class Fence:
    """What SQLite asks while it compiles: may this statement do that? Unknown is no."""

    def __init__(self, connection: sqlite3.Connection, config: dict[str, Any]) -> None:
        self.refusal = ""
        self.asked = False
        self._access: str = config["access"]
        schema = connection.execute(f"SELECT name, sql FROM {_SCHEMA}").fetchall()  # noqa: S608 - a constant.
        self._names = {_folded(name) for name, _ in schema}
        modules = connection.execute("PRAGMA module_list").fetchall()
        self._modules = {_folded(name) for (name,) in modules}
        listed = {_folded(name) for name in config["tables"]}
        own = {name for name in self._names if not name.startswith("sqlite_")}
        self._readable = (listed or own | {_SCHEMA}) | _EPONYMOUS
        self._touchable = listed
        self._writable = {_folded(name) for name in config["writable"]} or listed or own
        self._meet_modules(connection, schema)

    def _meet_modules(
        self, connection: sqlite3.Connection, schema: list[tuple[str, str]]
    ) -> None:
        """Let virtual tables make their columns known, which asks to write the schema."""
        virtual = [name for name, sql in schema if (sql or "").upper().startswith("CREATE VIR")]
        for name in [*_EPONYMOUS, *(name for name in virtual if self._may_read(name))]:
            quoted = name.replace('"', '""')
            with suppress(sqlite3.Error):  # A module that is not here; a query says so.
                connection.execute(f'SELECT 1 FROM "{quoted}" LIMIT 0')  # noqa: S608 - quoted.

    def __call__(
        self, action: int, one: str | None, two: str | None, database: str | None, _: object
    ) -> int:
        """SQLite's own numbers for yes and no."""
        self.asked = True
        refusal = self._judged(action, one or "", two or "", database)
        self.refusal = self.refusal or refusal
        return sqlite3.SQLITE_DENY if refusal else sqlite3.SQLITE_OK

    def _judged(self, action: int, one: str, two: str, database: str | None) -> str:
        """Why not; empty when allowed."""
        if self._harmless(action, one, two):
            return ""
        if action == sqlite3.SQLITE_FUNCTION:
            known = _FUNCTIONS | (_ALTERING if self._access == "admin" else frozenset())
            return "" if _folded(two) in known else f"the function {two} may not be called"
        if action == sqlite3.SQLITE_READ:
            plain = database in {"main", None} and self._may_read(one, column=two)
            return "" if plain or self._kept(one) else f"the table {one} may not be read"
        if action in _WRITES:
            plain = database == "main" and self._access != "read"
            if (plain and _folded(one) in self._writable) or self._kept(one):
                return ""
            what = "the schema" if _folded(one) in _KEPT else one
            return f"{self._access} does not allow to {_WRITES[action]} {what}"
        if action in _DEFINES:
            return self._defined((one, two)[_DEFINES[action]], database, action)
        return f"{self._access} does not allow this kind of statement"

    def _harmless(self, action: int, one: str, two: str) -> bool:
        if action == sqlite3.SQLITE_REINDEX:
            return self._access == "admin"
        if action == sqlite3.SQLITE_PRAGMA:
            # Full-text search asks whether its index has changed.
            return (one, two) == ("data_version", "")
        return action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE}

    def _may_read(self, table: str, column: str = "*") -> bool:
        name = _folded(table)
        if name in self._readable:
            return True
        # A `WITH` table of which no column is used is asked for as if it were a table.
        unknown = name not in self._names | self._modules and not name.startswith(
            ("sqlite_", "pragma_")
        )
        return not column and unknown

    def _kept(self, table: str) -> bool:
        return self._access == "admin" and _folded(table) in _KEPT

    def _defined(self, table: str, database: str | None, action: int) -> str:
        inside = database == "main" or action == sqlite3.SQLITE_ALTER_TABLE
        listed = not self._touchable or _folded(table) in self._touchable
        if self._access != "admin" or not inside or not listed:
            return f"{self._access} does not allow to define or change {table}"
        # What a statement defines, the same statement may fill.
        self._writable.add(_folded(table))
        return ""


def _folded(name: str) -> str:
    """A name as SQLite compares it: the letters A to Z are those of a to z, and no others."""
    return name.encode("utf-8", "replace").lower().decode()
