"""Lists that grow with the period, kept in a file without a name instead of in memory.

SQLite makes the file, and takes it away when it is closed. Nothing here outlives an export.
"""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

_TABLES: Final = """
CREATE TABLE item (kind TEXT, id TEXT, seq INTEGER, body TEXT, PRIMARY KEY (kind, id))
  WITHOUT ROWID;
CREATE INDEX item_order ON item (kind, seq);
"""
_PUT: Final = "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)"
_GET: Final = "SELECT body FROM item WHERE kind = ? AND id = ?"
_EACH: Final = "SELECT id, body FROM item WHERE kind = ? ORDER BY seq, id"
_COUNT: Final = "SELECT count(*) FROM item WHERE kind = ?"

Item = dict[str, Any]


class Spool:
    """Items by kind and id, in the order of the entries that they began with."""

    def __init__(self) -> None:
        # An empty name is a temporary file of SQLite's own, which no other process can open.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(_TABLES)

    def put(self, kind: str, id: str, seq: int, item: Item) -> None:
        """Keep an item, in the place of the one that had its id."""
        self._file.execute(_PUT, (kind, id, seq, json.dumps(item)))

    def get(self, kind: str, id: str) -> Item | None:
        """The item of an id; None: there is none."""
        row = self._file.execute(_GET, (kind, id)).fetchone()
        return None if row is None else json.loads(row[0])

    def each(self, kind: str) -> Iterator[tuple[str, Item]]:
        """Every item of a kind with its id, in order."""
        for id, body in self._file.execute(_EACH, (kind,)):
            yield id, json.loads(body)

    def count(self, kind: str) -> int:
        """How many there are of a kind."""
        found: int = self._file.execute(_COUNT, (kind,)).fetchone()[0]
        return found

    def close(self) -> None:
        """Give the file back."""
        self._file.close()
