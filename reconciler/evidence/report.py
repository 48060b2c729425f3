"""The part of an export that people read: report.html, report.pdf and the tables beside it.

    entries ──Populations──> Evidence ──┬──> csv/*.csv
    files of the proof ──> verdict ─────┼──> report.html ──> report.pdf
    controls/*.json ────────────────────┘

It is ended after the parts whose files it reads: the notes of the proof, and the controls.
"""

import json
from typing import Any, Final

from reconciler.evidence import integrity, paper, tables
from reconciler.evidence.page import document
from reconciler.evidence.part import Scope
from reconciler.evidence.populations import Populations
from runner.contract.audit import Stored

PAGE: Final = "report.html"
PAPER: Final = "report.pdf"
_CONTROLS: Final = "orloj-controls/1"


class Report:
    """A `Part` that writes what the populations are; they are ended before it.

    `remark` says afterwards why there is no PDF, where one was wanted.
    """

    def __init__(self, scope: Scope, populations: Populations, *, pdf: bool = True) -> None:
        self._scope, self._populations, self._pdf = scope, populations, pdf
        self.remark = ""

    def take(self, entry: Stored) -> None:
        """Nothing: the populations look at the entries."""

    def end(self) -> None:
        """Write the report into the folder of the scope."""
        scope, evidence = self._scope, self._populations.evidence
        tables.write(evidence, scope.folder)
        found = integrity.check(scope)
        page = document.document(evidence, found, self._frameworks())
        (scope.folder / PAGE).write_text(page, encoding="utf-8", newline="\n")
        if self._pdf:
            self.remark = paper.write(page, scope.folder / PAPER, scope.checkpoint.root)

    def _frameworks(self) -> list[dict[str, Any]]:
        """What the part of the controls wrote."""
        found = []
        for file in sorted((self._scope.folder / "controls").glob("*.json")):
            content = json.loads(file.read_text(encoding="utf-8"))
            if content.get("format") == _CONTROLS:
                found.append(content)
        return found
