"""What was set aside and used under every limit, and its worst window against the limit.

The windows are those of `runner.limit.worst_window`, which proves limits from the entries
`tokens.reserved` and `tokens.settled`. Calls lie in a file of SQLite's own until the period
is over, and are read in order: memory holds those that are open, and one window. A call set
aside before the period is not counted in it.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from runner.limit.limits import Dimension
from runner.limit.worst_window import RESERVED, SETTLED, Use, Worst, worst_of

_TABLE: Final = """
CREATE TABLE use (limited INTEGER, place INTEGER, reserved INTEGER, amount INTEGER,
  bound INTEGER, settled INTEGER, overrun INTEGER);
"""
_INDEX: Final = """
CREATE INDEX use_reserved ON use (limited, place);
CREATE INDEX use_settled ON use (limited, settled, place);
"""
_PUT: Final = "INSERT INTO use VALUES (?, ?, ?, ?, ?, ?, ?)"
_COLUMNS: Final = "SELECT reserved, amount, bound, settled, overrun FROM use WHERE limited = ?"
_RESERVED: Final = f"{_COLUMNS} ORDER BY place"
_SETTLED: Final = f"{_COLUMNS} AND settled IS NOT NULL ORDER BY settled, place"
_Call = tuple[str, int, int]


@dataclass(slots=True)
class Spent:
    """One limit over the period: what calls set aside and used, and its worst window."""

    dimension: str
    scope: str
    reserved: int = 0
    settled: int = 0
    open: int = 0
    """Calls that were not settled when the period ended."""
    worst: Worst | None = None

    @property
    def field(self) -> str:
        """The field of the manifest that sets the limit."""
        return Dimension(self.dimension).field


@dataclass(slots=True)
class _Limit:
    number: int
    spent: Spent
    open: dict[_Call, tuple[int, Use]] = field(default_factory=dict)


class Spending:
    """Collects what counts under limits."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(_TABLE)
        self._limits: dict[tuple[str, str], _Limit] = {}
        self._place = 0

    def take(self, fields: dict[str, Any]) -> None:
        """Look at an entry."""
        kind = fields["type"]
        if kind not in (RESERVED, SETTLED):
            return
        call = (fields["task"], fields["attempt"], fields["step"])
        for dimension, scope, amount, bound in fields["charges"]:
            limit = self._limit(dimension, scope)
            if kind == RESERVED:
                self._place += 1
                limit.spent.reserved += amount
                limit.open[call] = (self._place, Use(fields["at"], amount, bound))
            elif (found := limit.open.pop(call, None)) is not None:
                place, use = found
                use.settled_us = fields["at"]
                use.overrun = max(0, amount - use.amount)
                use.amount = amount
                limit.spent.settled += amount
                self._put(limit, place, use)

    def end(self) -> list[Spent]:
        """Every limit that entries of the period speak of, by what it counts and of whom."""
        for limit in self._limits.values():
            limit.spent.open = len(limit.open)
            for place, use in limit.open.values():
                self._put(limit, place, use)
            limit.open.clear()
        self._file.executescript(_INDEX)
        for (dimension, scope), limit in self._limits.items():
            reserved = self._read(_RESERVED, limit.number)
            settled = self._read(_SETTLED, limit.number)
            if self._used(limit.number):
                limit.spent.worst = worst_of(Dimension(dimension), scope, reserved, settled)
        return [self._limits[key].spent for key in sorted(self._limits)]

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _limit(self, dimension: str, scope: str) -> _Limit:
        key = (dimension, scope)
        if key not in self._limits:
            self._limits[key] = _Limit(len(self._limits), Spent(dimension, scope))
        return self._limits[key]

    def _put(self, limit: _Limit, place: int, use: Use) -> None:
        row = (limit.number, place, use.reserved_us, use.amount, use.bound)
        self._file.execute(_PUT, (*row, use.settled_us, use.overrun))

    def _used(self, number: int) -> bool:
        query = "SELECT 1 FROM use WHERE limited = ? LIMIT 1"
        return self._file.execute(query, (number,)).fetchone() is not None

    def _read(self, query: str, number: int) -> Iterator[Use]:
        return (Use(*row) for row in self._file.execute(query, (number,)))
