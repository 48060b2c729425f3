"""Aligned columns and marked lines, the same on a terminal, in a pipe and in a file. Pure.

Nothing is cut or wrapped to a width: what a pipe receives must not depend on the window.
Every cell is neutralised, since names and answers come from manifests, models and tools.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from reconciler.views.plain import plain

GAP: Final = "  "
SHORT_MAX: Final = 72

_STYLES: Final = {
    "allow": "green",
    "approved": "green",
    "ask": "yellow",
    "backing_off": "yellow",
    "bad": "bold red",
    "cancelled": "dim",
    "dead": "bold red",
    "changes_requested": "yellow",
    "denied": "red",
    "deny": "red",
    "done": "green",
    "dropped": "dim",
    "exceeded": "bold red",
    "failed": "red",
    "expired": "red",
    "good": "green",
    "holds": "green",
    "missed": "yellow",
    "running": "cyan",
    "skipped": "yellow",
    "succeeded": "green",
    "suspended": "dim",
    "unknown": "yellow",
    "unknown_outcome": "bold yellow",
    "unreadable": "bold red",
    "waiting_approval": "yellow",
    "waiting_tokens": "yellow",
}

Cell = str | Text


def word(text: str) -> Text:
    """A state, phase or decision in its colour."""
    return Text(plain(text), style=_STYLES.get(text, ""))


def table(headers: Sequence[str], rows: Iterable[Sequence[Cell]], indent: str = "") -> Text:
    """Rows under headers, columns aligned; each line ends with a newline but the last."""
    lines = [[Text(header, style="dim") for header in headers]]
    lines += [[_cell(cell) for cell in row] for row in rows]
    widths = [max(cell_len(line[at].plain) for line in lines) for at in range(len(headers))]
    return Text("\n").join(_line(line, widths, indent) for line in lines)


def pairs(rows: Iterable[tuple[str, Cell]], indent: str = "  ") -> Text:
    """Names and values, values aligned."""
    cells = [(name, _cell(value)) for name, value in rows]
    width = max((cell_len(name) for name, _ in cells), default=0)
    return Text("\n").join(
        Text.assemble(indent, (name.ljust(width), "dim"), GAP, value) for name, value in cells
    )


def paragraphs(*parts: Text | None) -> Text:
    """The parts that are there, one below the other."""
    return Text("\n").join(part for part in parts if part is not None)


def heading(text: str) -> Text:
    """The title of a part."""
    return Text(text, style="bold")


def block(text: str, indent: str = "  ") -> Text:
    """A text of several lines, neutralised and indented."""
    return Text("\n".join(indent + plain(line) for line in text.splitlines() or [""]))


def short(text: str, length_max: int = SHORT_MAX) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length_max else line[: length_max - 1] + "…"


def number(count: int) -> str:
    """A number with thin groups: `12 345`."""
    return f"{count:,}".replace(",", " ")


def _cell(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(plain(" ".join(cell.splitlines())))


def _line(cells: Sequence[Text], widths: Sequence[int], indent: str) -> Text:
    line = Text(indent)
    last = max((at for at, cell in enumerate(cells) if cell.plain), default=0)
    for at, cell in enumerate(cells[: last + 1]):
        line.append_text(cell)
        if at < last:
            line.append(" " * (widths[at] - cell_len(cell.plain)) + GAP)
    return line
