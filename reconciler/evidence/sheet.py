"""Tables for spreadsheets: comma-separated, and safe to open.

As RFC 4180 says: lines end with CR LF, a cell with a comma, a quote or a line break stands
in quotes. The file begins with the mark of UTF-8, since a spreadsheet takes it for the
alphabet of its country otherwise; programs read it as `utf-8-sig`. A cell that one of them
would run as a formula begins with an apostrophe instead.
"""

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from reconciler.evidence.cell import harmless


class Sheet:
    """A table that is written line by line, and closed with the files it was opened with."""

    def __init__(self, files: ExitStack, path: Path, columns: Sequence[str]) -> None:
        path.parent.mkdir(exist_ok=True)
        # A lone surrogate, which JSON can hold, is written as an escape.
        file = path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="")
        self._writer = csv.writer(files.enter_context(file), lineterminator="\r\n")
        self.add(columns)

    def add(self, cells: Iterable[str | int | None]) -> None:
        """Write a line; None is an empty cell, and a number runs nothing."""
        self._writer.writerow([harmless(cell) if type(cell) is str else cell for cell in cells])
