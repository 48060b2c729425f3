"""Audit entries as words, as CSV, and what verification found. Pure.

An entry comes as the parsed JSON of its stored bytes. The CSV form is for spreadsheets: a
cell that one of them would run as a formula begins with an apostrophe instead.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.views.table import Cell, number, paragraphs, short, table, word
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
# What spreadsheets take for a formula: OWASP, CSV Injection, with the full-width forms
# that some of them turn into the plain ones.
_FORMULA_STARTS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


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


def verdict(entries: int, head: str, bad_seq: int | None, problem: str | None) -> Text:
    """What verification found, and what it cannot find."""
    if problem is not None:
        return Text(
            f"BROKEN at entry {bad_seq}: {problem}.\n"
            f"{number(entries)} entries before it hold. Keep the database file as it is.",
            style="bold red",
        )
    return paragraphs(
        Text(f"{number(entries)} entries hold: no byte, order or number was changed."),
        Text(f"Head: {head}"),
        Text(
            "A log cut off at its end also holds: compare the head with a copy kept elsewhere.",
            style="dim",
        ),
    )


def exported(fields: Fields) -> Text:
    """What an export is, and how to go on."""
    return paragraphs(
        Text(
            f"{number(fields['entries'])} entries ({fields['from']} to {fields['to']}) written"
            f" to {fields['file']}, {number(fields['bytes'])} bytes."
        ),
        Text(f"sha256 {fields['sha256']}, as entry {fields['audit_entry']} of the log says"),
        Text(f"Next: tar -xf {fields['file']}, and read README.txt in it.", style="dim"),
    )


def csv_header() -> str:
    """The first line of an export."""
    return _csv(CSV_FIELDS)


def csv_line(entry: Fields) -> str:
    """One entry as a line of CSV, safe to open in a spreadsheet."""
    values = (
        iso(entry["time"]) if name == "time" else _text(entry, name) for name in CSV_FIELDS
    )
    return _csv(_harmless(value or "") for value in values)


def _harmless(cell: str) -> str:
    return "'" + cell if cell.startswith(_FORMULA_STARTS) else cell


def _csv(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
