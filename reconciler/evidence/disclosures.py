"""disclosures.jsonl: the values behind commitments that a person chose to show, and no other.

    entry with a chosen field ──> value and salt that stand beside the log ──> checked ──> line
                                  gone? ──> erased.jsonl says of which entry and field

Whoever reads a line computes the commitment in the entry from it. Values were freed of
secrets before they were stored; what is written here is what was committed to, unchanged.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler.evidence.part import Scope
from runner.contract import audit, audit_entry, errors

_AT_ONCE: Final = 500
_FOUND = "SELECT seq, field, salt, value FROM disclosure WHERE seq IN ({})"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which private values are shown: those of some fields, and those of some tasks."""

    fields: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset()

    def of(self, entry: audit.Stored) -> dict[str, str]:
        """The commitments of an entry whose values are wanted, by field."""
        private = entry.fields.get("private")
        if not isinstance(private, dict):
            return {}
        if entry.fields.get("task") in self.tasks:
            return private
        return {name: private[name] for name in private if name in self.fields}


class Disclosures:
    """Writes what was chosen, some entries at a time."""

    def __init__(
        self, scope: Scope, files: ExitStack, connection: Connection, choice: Choice
    ) -> None:
        self._connection, self._choice = connection, choice
        shown, erased = scope.folder / "disclosures.jsonl", scope.folder / "erased.jsonl"
        self._shown = files.enter_context(shown.open("wb"))
        self._erased = files.enter_context(erased.open("wb"))
        self._waiting: dict[int, dict[str, str]] = {}
        self.shown = self.erased = 0

    def take(self, entry: audit.Stored) -> None:
        """Look whether values of this entry are wanted."""
        if wanted := self._choice.of(entry):
            self._waiting[entry.seq] = wanted
            if len(self._waiting) >= _AT_ONCE:
                self._write()

    def end(self) -> None:
        """Write what waits."""
        self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        query = _FOUND.format(", ".join("?" * len(self._waiting)))
        rows = self._connection.exec_driver_sql(query, tuple(self._waiting))
        found = {(seq, field): (bytes(salt), value) for seq, field, salt, value in rows}
        for seq, commitments in self._waiting.items():
            for field in sorted(commitments):
                self._one(seq, field, commitments[field], found.get((seq, field)))
        self._waiting.clear()

    def _one(
        self, seq: int, field: str, commitment: str, found: tuple[bytes, str] | None
    ) -> None:
        if found is None:
            self.erased += 1
            self._erased.write(audit_entry.encoded({"field": field, "seq": seq}) + b"\n")
            return
        salt, value = found
        if audit_entry.commitment(salt, field, value) != commitment:
            raise errors.AuditBroken(
                f"the {field} kept beside entry {seq} is not what the entry commits to;"
                " run `orloj audit verify`"
            )
        self.shown += 1
        line = {"field": field, "salt": salt.hex(), "seq": seq, "value": value}
        self._shown.write(audit_entry.encoded(line) + b"\n")
