"""csv/entries.csv: every entry of the period with every field of its header, for sorting.

The proof is over headers.jsonl; this is the same for the eye. `time` is as people read it,
lists and `private` are JSON.
"""

from contextlib import ExitStack
from typing import Final

from reconciler.evidence.part import Scope
from reconciler.evidence.sheet import Sheet
from runner.contract import audit, audit_entry, clock

COLUMNS: Final = (
    *("seq", "time", "type", "code", "actor", "commit", "manifests"),
    *("task", "task_seq", "entries", "attempt", "step", "agent", "chain", "tool", "model"),
    *("permission", "decision", "rule", "reason", "approval", "resource", "digest", "outcome"),
    *(
        "isolation",
        "tool_code",
        "tries",
        "tokens_in",
        "tokens_out",
        "duration_us",
        "at",
        "charges",
        "private",
    ),
    *("log", "v"),
)
_TIME: Final = COLUMNS.index("time")
_STRUCTURED: Final = tuple(map(COLUMNS.index, ("chain", "charges", "private")))


class EntrySheet:
    """Writes the entries as they go by."""

    def __init__(self, scope: Scope, files: ExitStack) -> None:
        self._sheet = Sheet(files, scope.folder / "csv" / "entries.csv", COLUMNS)

    def take(self, entry: audit.Stored) -> None:
        """Write one entry."""
        row = list(map(entry.fields.get, COLUMNS))
        row[_TIME] = clock.iso(entry.fields["time"])
        for place in _STRUCTURED:
            if row[place] is not None:
                row[place] = audit_entry.canonical(row[place])
        self._sheet.add(row)

    def end(self) -> None:
        """Nothing is left to write."""
