"""The part of an export that says what the entries show of each control.

    entries ──Watching──> observations ──evaluate──> controls/<framework>.json, oscal-ar.json

Every question of every framework is asked in one go through the entries; a question that two
frameworks share is asked once. Who wrote a commit is asked of Git, by the populations. Both
files are a function of the entries, of Git, of the mappings and of the scope.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.evidence import change_checks, evaluation, log_checks, oscal
from reconciler.evidence.checks import Asked, Watching
from reconciler.evidence.evaluation import FrameworkResult
from reconciler.evidence.framework import Framework
from reconciler.evidence.observation import Period
from reconciler.evidence.part import Scope
from reconciler.evidence.population.changes import NO, UNKNOWN
from reconciler.evidence.populations import Populations
from runner.contract.audit import Stored
from runner.contract.audit_entry import canonical

FOLDER: Final = "controls"
OSCAL_FILE: Final = "oscal-ar.json"
_FOUR_EYES: Final = Asked("check", "four_eyes")
_PUBLISHED: Final = Asked("check", "published_without_failure")
_PLAN: Final = "plan: "


class Controls:
    """A `Part`: watches the entries go by, then writes what they show.

    It is ended after the `populations`, where there are any. `published` are the sizes of
    the checkpoints that were published in the period.
    """

    def __init__(
        self,
        scope: Scope,
        frameworks: Sequence[Framework],
        populations: Populations | None = None,
        published: Sequence[int] = (),
    ) -> None:
        assert frameworks, "an export without frameworks has no such part"
        self._scope, self._populations, self._published = scope, populations, published
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
        if self._populations is not None and scope.mirror is not None:
            seen[_FOUR_EYES] = change_checks.four_eyes(_looked_at(self._populations))
        if _PUBLISHED in seen:
            seen[_PUBLISHED] = log_checks.published(seen[_PUBLISHED], self._published)
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


def published(connection: Connection, scope: Scope) -> list[int]:
    """The sizes of the checkpoints that were published in the period of a scope."""
    rows = connection.exec_driver_sql(
        "SELECT size FROM checkpoint WHERE published_at >= ? AND published_at < ?"
        " ORDER BY size",
        (scope.since_us, scope.until_us),
    )
    return [row[0] for row in rows]


def _looked_at(populations: Populations) -> Iterator[tuple[int, str, str]]:
    """Of each change, whether somebody besides its writers had a look, and why that is said."""
    for change in populations.evidence.changes():
        if change.reverted:
            continue  # It puts back what was applied before, and was looked at then.
        approved = any(one.startswith(_PLAN) for one in change.overrides)
        if change.four_eyes == NO and approved:
            why = "a person approved its plan, and whether they wrote it is not known"
            yield change.seq, UNKNOWN, why
        else:
            yield change.seq, change.four_eyes, change.why
