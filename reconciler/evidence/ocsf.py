"""ocsf.jsonl: calls, approvals and changes of manifests of the period, for a SIEM.

One OCSF event a line, in the order of the log, written as entries go by.
"""

from contextlib import ExitStack
from importlib import metadata
from typing import Final

from reconciler.evidence import ocsf_event
from reconciler.evidence.ocsf_event import Proof
from reconciler.evidence.part import Scope
from reconciler.proof import note
from runner.contract import audit, audit_entry, merkle

FILE: Final = "ocsf.jsonl"
_CHECKPOINT: Final = "checkpoint"


class Ocsf:
    """Writes the events."""

    def __init__(self, scope: Scope, files: ExitStack) -> None:
        self._file = files.enter_context((scope.folder / FILE).open("wb"))
        self._product = metadata.version("orloj")
        said = scope.checkpoint
        self._proof = Proof(scope.log, said.size, said.root.hex(), _signers(scope))

    def take(self, entry: audit.Stored) -> None:
        """Write the entry, if it is one for a SIEM."""
        leaf = merkle.leaf(entry.raw)
        made = ocsf_event.event(entry.fields, leaf, self._proof, self._product)
        if made is not None:
            self._file.write(audit_entry.encoded(made) + b"\n")

    def end(self) -> None:
        """Let go of the file."""
        self._file.close()


def _signers(scope: Scope) -> tuple[tuple[str, str], ...]:
    """Who signed the checkpoint that the export carries; none where it carries none."""
    file = scope.folder / _CHECKPOINT
    if not file.is_file():
        return ()
    found = note.parse(file.read_text(encoding="utf-8")).signatures
    return tuple((line.name, line.key_id.hex()) for line in found)
