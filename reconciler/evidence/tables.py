"""csv/: the populations as tables for spreadsheets, whole where the report shows the first.

changes.csv  calls.csv  approvals.csv  limits.csv  denials.csv  samples.csv
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Final

from reconciler.evidence.population.calls import Denials, Tally
from reconciler.evidence.population.changes import Change
from reconciler.evidence.populations import Evidence
from reconciler.evidence.sheet import Sheet
from runner.contract import clock

_APPROVAL: Final = (
    *("id", "seq", "task", "step", "agent", "tool", "permission", "rule", "commit", "digest"),
    *("requested_us", "decided_us", "latency_us", "decision", "approver", "how", "state"),
)
_SPENT: Final = ("dimension", "scope", "reserved", "settled", "open")
_WORST: Final = ("used", "bound", "at_us", "calls", "overruns", "holds")
_SAMPLE: Final = ("population", "item", "ticket", "seq", "time", "type")


def write(evidence: Evidence, folder: Path) -> None:
    """Write them into the folder `csv`."""
    with ExitStack() as files:
        for name, columns, rows in _tables(evidence):
            sheet = Sheet(files, folder / "csv" / f"{name}.csv", columns)
            for row in rows:
                sheet.add(_cell(value) for value in row)


def _tables(
    evidence: Evidence,
) -> Iterator[tuple[str, Sequence[str], Iterable[Sequence[Any]]]]:
    yield "changes", _names(Change), (astuple(one) for one in evidence.changes())
    yield "calls", _names(Tally), (astuple(one) for one in evidence.tallies)
    approvals = (
        tuple(getattr(one, name) for name in _APPROVAL) for one in evidence.approvals()
    )
    yield "approvals", _APPROVAL, approvals
    yield "limits", (*_SPENT, *_WORST), _limits(evidence)
    yield "denials", _names(Denials), (astuple(one) for one in evidence.denials)
    yield "samples", _SAMPLE, _samples(evidence)


def _limits(evidence: Evidence) -> Iterator[tuple[Any, ...]]:
    for one in evidence.limits:
        worst = one.worst
        more = (getattr(worst, name) if worst is not None else None for name in _WORST)
        yield (*(getattr(one, name) for name in _SPENT), *more)


def _samples(evidence: Evidence) -> Iterator[tuple[Any, ...]]:
    for population, items in evidence.drawn.items():
        for item in items:
            for entry in item.entries:
                when = clock.iso(entry["time"])
                yield population, item.id, item.ticket, entry["seq"], when, entry["type"]


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return "; ".join(str(one) for one in value)
    return str(value)
