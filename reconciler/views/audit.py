"""Audit entries as words, as CSV, and what verification found. Pure.

An entry comes as the parsed JSON of its stored bytes. The CSV form is for spreadsheets: a
cell that one of them would run as a formula begins with an apostrophe instead.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.evidence.cell import harmless
from reconciler.views.table import Cell, short, table, word
from reconciler.views.times import iso, moment

Fields = Mapping[str, Any]

CSV_FIELDS: Final = (
    "seq",
    "time",
    "type",
    "actor",
    "commit",
    "manifests",
    "task",
    "attempt",
    "step",
    "agent",
    "tool",
    "model",
    "permission",
    "decision",
    "rule",
    "reason",
    "resource",
    "digest",
    "outcome",
    "tokens_in",
    "tokens_out",
    "duration_us",
)
COMMIT_SHOWN: Final = 8


def entry_list(entries: Sequence[Fields], *, with_task: bool = True) -> Text:
    """Entries, oldest first, one a line."""
    if not entries:
        return Text("No entries match.")
    headers = ["SEQ", "TIME (UTC)", "TYPE", "TASK", "WHO", "WHAT", "DECISION", "COMMIT", "WHY"]
    rows = [_row(entry) for entry in entries]
    if not with_task:
        at = headers.index("TASK")
        headers.pop(at)
        for row in rows:
            row.pop(at)
    return table(headers, rows)


def _row(entry: Fields) -> list[Cell]:
    return [
        str(entry["seq"]),
        moment(entry["time"]),
        _text(entry, "type"),
        _text(entry, "task"),
        _text(entry, "agent") or _text(entry, "actor"),
        _what(entry),
        word(_text(entry, "decision")),
        _text(entry, "commit")[:COMMIT_SHOWN],
        short(_why(entry), 120),
    ]


def _what(entry: Fields) -> str:
    """The call, else the resource, that an entry is about."""
    called = _text(entry, "tool") or _text(entry, "model")
    if called:
        permission = _text(entry, "permission")
        return f"{called} ({permission})" if permission else called
    return _text(entry, "resource")


def _why(entry: Fields) -> str:
    parts = (_text(entry, "outcome"), _text(entry, "reason"), _text(entry, "rule"))
    return " · ".join(part for part in parts if part)


def _text(entry: Fields, name: str) -> str:
    value = entry.get(name)
    return "" if value is None else str(value)


def csv_header() -> str:
    """The first line of an export."""
    return _csv(CSV_FIELDS)


def csv_line(entry: Fields) -> str:
    """One entry as a line of CSV, safe to open in a spreadsheet."""
    values = (
        iso(entry["time"]) if name == "time" else _text(entry, name) for name in CSV_FIELDS
    )
    return _csv(harmless(value or "") for value in values)


def _csv(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
