"""The part of an export that says what the entries show of each control.

    entries ──Watching──> observations ──evaluate──> controls/<framework>.json, oscal-ar.json

Every question of every framework is asked in one go through the entries; a question that two
frameworks share is asked once. Both files are a function of the entries, the mappings and the
scope.
"""

from collections.abc import Sequence
from typing import Any

from reconciler.evidence import evaluation, oscal
from reconciler.evidence.checks import Watching
from reconciler.evidence.evaluation import FrameworkResult
from reconciler.evidence.framework import Framework
from reconciler.evidence.observation import Period
from reconciler.evidence.part import Scope
from runner.contract.audit import Stored
from runner.contract.audit_entry import canonical

FOLDER = "controls"
OSCAL_FILE = "oscal-ar.json"


class Controls:
    """A `Part`: watches the entries go by, then writes what they show."""

    def __init__(self, scope: Scope, frameworks: Sequence[Framework]) -> None:
        assert frameworks, "an export without frameworks has no such part"
        self._scope = scope
        self._frameworks = frameworks
        self._watching = Watching({one for found in frameworks for one in found.asked})
        self.results: tuple[FrameworkResult, ...] = ()

    def take(self, entry: Stored) -> None:
        """Look at the next entry."""
        self._watching.take(entry.seq, entry.fields)

    def end(self) -> None:
        """Write the results; `results` holds them from then on."""
        scope = self._scope
        period = Period(scope.log, scope.since_us, scope.until_us, scope.first, scope.last)
        seen = self._watching.end(period)
        self.results = tuple(
            evaluation.evaluate(framework, seen, period, scope.checkpoint)
            for framework in self._frameworks
        )
        folder = scope.folder / FOLDER
        folder.mkdir(exist_ok=True)
        for result in self.results:
            self._write(f"{FOLDER}/{result.framework.id}.json", evaluation.as_json(result))
        self._write(OSCAL_FILE, oscal.document(self.results))

    def _write(self, name: str, value: dict[str, Any]) -> None:
        text = canonical(value) + "\n"
        (self._scope.folder / name).write_bytes(text.encode("utf-8", "backslashreplace"))
