"""csv/entries.csv: every entry of the period with every field of its header, for sorting.

The proof is over headers.jsonl; this is the same for the eye. `time` is as people read it,
lists and `private` are JSON.
"""

from contextlib import ExitStack
from typing import Any, Final

from reconciler.evidence.part import Scope
from reconciler.evidence.sheet import Sheet
from runner.contract import audit, audit_entry, clock

COLUMNS: Final = (
    *("seq", "time", "type", "code", "actor", "commit", "manifests"),
    *("task", "task_seq", "entries", "attempt", "step", "agent", "chain", "tool", "model"),
    *("permission", "decision", "rule", "reason", "approval", "resource", "digest", "outcome"),
    *("isolation", "tokens_in", "tokens_out", "duration_us", "at", "charges", "private"),
    *("log", "v"),
)


class EntrySheet:
    """Writes the entries as they go by."""

    def __init__(self, scope: Scope, files: ExitStack) -> None:
        self._sheet = Sheet(files, scope.folder / "csv" / "entries.csv", COLUMNS)

    def take(self, entry: audit.Stored) -> None:
        """Write one entry."""
        self._sheet.add(_cell(name, entry.fields.get(name)) for name in COLUMNS)

    def end(self) -> None:
        """Nothing is left to write."""


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "time" and isinstance(value, int):
        return clock.iso(value)
    return value if isinstance(value, str) else audit_entry.canonical(value)
