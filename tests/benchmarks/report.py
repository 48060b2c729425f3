"""What a run of the benchmarks prints: tables for people, one JSON object for programs."""

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 116


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

    def show(self, as_json: bool) -> None:
        """Print everything."""
        if as_json:
            body = {"machine": machine(), "tables": self.tables, "checks": self.checks}
            print(json.dumps(body, indent=1))
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


def _verdicts(checks: list[dict[str, Any]]) -> Table:
    shown = Table(title="Targets", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("what", "target", "measured", ""):
        shown.add_column(column)
    for check in checks:
        bar = f"{'>' if check['above'] else '<'} {figure(check['bar'])} {check['unit']}"
        verdict = "[green]met[/]" if check["met"] else "[red]missed[/]"
        shown.add_row(check["what"], bar, f"{figure(check['figure'])} {check['unit']}", verdict)
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
        "load before": f"{os.getloadavg()[0]:.1f}",
        "orloj": metadata.version("orloj"),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share is at most; of few values, the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)
