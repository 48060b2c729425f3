"""What a run of the benchmarks prints: tables for people, sections for docs, or JSON."""

import json
import os
import platform
import sqlite3
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 116
VERDICT = ("what", "target", "measured", "verdict")
FORMS = ("table", "json", "markdown")


@dataclass
class Report:
    """Tables in the order in which they were measured; `checks` are targets and figures."""

    tables: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = ""
    ) -> None:
        """Add a table; the first column is text, the others are figures or text."""
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        self.tables.append(
            {"title": title, "columns": list(columns), "rows": named, "note": note}
        )

    def check(
        self, what: str, figure: float, bar: float, *, above: bool, unit: str = ""
    ) -> None:
        """Add a figure with the bar it is to be above, or below."""
        met = figure > bar if above else figure < bar
        self.checks.append(
            {"what": what, "figure": figure, "bar": bar, "above": above, "met": met}
            | {"unit": unit}
        )

    def show(self, form: str) -> None:
        """Print everything, in one of `FORMS`."""
        if form == "json":
            body = {"machine": machine(), "tables": self.tables, "checks": self.checks}
            print(json.dumps(body, indent=1))
            return
        if form == "markdown":
            print(_markdown(self))
            return
        console = Console(width=WIDTH)
        console.print("[bold]Machine[/]:", ", ".join(f"{k} {v}" for k, v in machine().items()))
        for table in self.tables:
            _print(console, table)
        if self.checks:
            console.print(_verdicts(self.checks))


def _print(console: Console, table: dict[str, Any]) -> None:
    shown = Table(title=table["title"], title_justify="left", box=box.SIMPLE_HEAD)
    for place, column in enumerate(table["columns"]):
        text = all(isinstance(row[column], str) for row in table["rows"])
        shown.add_column(column, justify="left" if text else "right", no_wrap=place == 0)
    for row in table["rows"]:
        shown.add_row(*(figure(row[column]) for column in table["columns"]))
    console.print(shown)
    if table["note"]:
        console.print(table["note"], style="dim")


def _markdown(report: Report) -> str:
    """Sections as docs/benchmarks.md has them."""
    lines = ["Machine: " + ", ".join(f"{name} {what}" for name, what in machine().items())]
    verdicts = [_verdict(check) for check in report.checks]
    targets = {"title": "Targets", "columns": list(VERDICT), "note": ""}
    targets["rows"] = [dict(zip(VERDICT, verdict, strict=True)) for verdict in verdicts]
    for table in (*report.tables, *([targets] if verdicts else [])):
        columns = table["columns"]
        lines += ["", f"### {table['title']}", "", f"| {' | '.join(columns)} |"]
        lines += ["|" + "---|" * len(columns)]
        for row in table["rows"]:
            lines.append("| " + " | ".join(figure(row[column]) for column in columns) + " |")
        if table["note"]:
            lines += ["", *textwrap.wrap(table["note"], 96)]
    return "\n".join(lines)


def _verdict(check: dict[str, Any]) -> tuple[str, str, str, str]:
    sign = "above" if check["above"] else "below"
    target = f"{sign} {figure(check['bar'])} {check['unit']}".strip()
    measured = f"{figure(check['figure'])} {check['unit']}".strip()
    return check["what"], target, measured, "met" if check["met"] else "missed"


def _verdicts(checks: list[dict[str, Any]]) -> Table:
    shown = Table(title="Targets", title_justify="left", box=box.SIMPLE_HEAD)
    for column in VERDICT:
        shown.add_column(column)
    for check in checks:
        *said, verdict = _verdict(check)
        shown.add_row(*said, f"[{'green' if check['met'] else 'red'}]{verdict}[/]")
    return shown


def figure(value: Any) -> str:
    """A figure with three digits that count; text as it is, nothing as a dash."""
    if value is None:
        return "-"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> dict[str, str]:
    """The class of the machine in neutral words, and what runs on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "orloj": metadata.version("orloj"),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share is at most; of few values, the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)
