"""What a reader has to look at: everything that did not go as it should, with its number. Pure.

Every kind is counted in full; the first of each are kept with what they say.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

KEPT_MAX: Final = 200
"""Of each kind; all are counted, and all stand in entries.csv."""
WORDS: Final = {
    "manifest.overridden": "somebody let a commit pass that would have been stopped",
    "manifest.rejected": "a commit was refused",
    "manifest.reverted": "an earlier state was put back",
    "manifest.widened": "something became possible that was not before",
    "action.failed": "a call failed",
    "action.unknown": "a call began and nobody saw it end",
    "turn.violated": "a turn of an agent ended without what its manifest demands",
    "task.resolved": "a person said whether an interrupted call ran",
    "task.cancelled": "a person ended a task",
    "drift.detected": "something was not as it had been applied",
    "drift.healed": "it was set right",
    "log.publish_failed": "a checkpoint could not be published",
    "log.key_rotated": "checkpoints are signed with another key",
    "log.archived": "old entries were moved to an archive",
    "state.copied": "everything was copied to another database",
    "notification.failed": "a notification was given up",
    "alert.token_overrun": "a call used more than it had set aside",
    "schedule.missed": "a moment of a schedule passed",
    "source.suspended": "a person stopped a repository from being applied",
    "source.resumed": "a person let a repository go on",
    "drill.done": "somebody ran the drill that fails parts on purpose",
    "erasure.done": "values beside the log were erased",
    "hold.set": "a legal hold was set",
    "hold.released": "a legal hold was released",
    "access.read": "somebody read the log",
    "access.exported": "somebody exported a period",
    "access.reviewed": "somebody signed off a review",
}
"""What is looked at, in the words of the report."""
ERASURES: Final = ("erasure.done", "hold.set", "hold.released", "log.archived")
READINGS: Final = ("access.read", "access.exported", "access.reviewed")
DISPOSED: Final = {
    "action.unknown": "task.resolved",
    "drift.detected": "drift.healed",
    "source.suspended": "source.resumed",
    "hold.set": "hold.released",
}
"""What settles what, where an entry can."""
_SHOWN: Final = (
    *("seq", "time", "type", "code", "actor", "commit", "task", "step", "agent", "tool"),
    *("resource", "outcome", "reason"),
)


@dataclass(slots=True)
class Exceptions:
    """Collects them."""

    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many entries of each code and type there are, of all types."""
    _kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def take(self, fields: dict[str, Any]) -> None:
        """Look at an entry."""
        kind = fields["type"]
        self.codes[str(fields.get("code", "")), kind] += 1
        if kind not in WORDS:
            return
        self.counts[kind] += 1
        kept = self._kept.setdefault(kind, [])
        if len(kept) < KEPT_MAX:
            kept.append({name: fields[name] for name in _SHOWN if name in fields})

    def kept(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """What is kept of these kinds, kind by kind, each in order."""
        for kind in kinds:
            yield from self._kept.get(kind, ())
