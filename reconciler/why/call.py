"""A call as its entries tell it: asked, decided, begun, ended. Pure.

    requested ─> decided (ask ─> approval ─> decided again) ─> started ─> executed, failed

A step may be tried again after a crash: what counts is the last decision, and what came
after it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.why.entries import Logged
from runner.contract.audit_entry import EntryType

_ENDS: Final = (
    EntryType.ACTION_EXECUTED,
    EntryType.ACTION_FAILED,
    EntryType.ACTION_UNKNOWN,
)
_APPROVAL: Final = (
    EntryType.APPROVAL_REQUESTED,
    EntryType.APPROVAL_GRANTED,
    EntryType.APPROVAL_DENIED,
    EntryType.APPROVAL_WITHDRAWN,
    EntryType.APPROVAL_EXPIRED,
    EntryType.APPROVAL_CONSUMED,
)


@dataclass(frozen=True, slots=True)
class Call:
    """The entries of one step of a task, oldest first."""

    task: str
    step: int
    entries: tuple[Logged, ...]

    @property
    def requested(self) -> Logged | None:
        """The last request."""
        return self._last(EntryType.ACTION_REQUESTED)

    @property
    def decided(self) -> Logged | None:
        """The decision that counts."""
        return self._last(EntryType.ACTION_DECIDED)

    @property
    def started(self) -> Logged | None:
        """When the call began; None: it never did."""
        return self._last(EntryType.ACTION_STARTED)

    @property
    def ended(self) -> Logged | None:
        """How the call ended, if it began and anybody saw it."""
        return self._last(*_ENDS)

    @property
    def approval(self) -> tuple[Logged, ...]:
        """What was asked of people, and what they said."""
        return tuple(entry for entry in self.entries if entry.type in _APPROVAL)

    @property
    def outcome(self) -> str:
        """In one word: denied, waiting, executed, failed, unknown or under_way."""
        decision = self.decided.text("decision") if self.decided else None
        if decision == "deny":
            return "denied"
        if decision == "ask":
            return "waiting"
        end = self.ended
        if end is None or (self.started is not None and end.seq < self.started.seq):
            return "under_way" if self.started is not None else "not_made"
        return end.type.partition(".")[2]

    @property
    def name(self) -> str:
        """The tool, or the model."""
        about = self.decided or (self.entries[0] if self.entries else None)
        if about is None:
            return ""
        return about.text("tool") or about.text("model") or ""

    @property
    def rests_on(self) -> tuple[Logged, ...]:
        """The entries without which the story would be another one."""
        found = [self.requested, self.decided, *self.approval, self.started, self.ended]
        return tuple(sorted({e.seq: e for e in found if e}.values(), key=lambda e: e.seq))

    def _last(self, *types: EntryType) -> Logged | None:
        return next((e for e in reversed(self.entries) if e.type in types), None)


def calls(entries: Sequence[Logged]) -> list[Call]:
    """The calls among a task's entries, by step."""
    steps: dict[tuple[str, int], list[Logged]] = {}
    for entry in entries:
        step, task = entry.whole("step"), entry.text("task")
        if step is not None and task is not None and entry.type.startswith("action."):
            steps.setdefault((task, step), []).append(entry)
    return [Call(task, step, tuple(found)) for (task, step), found in sorted(steps.items())]


def step(entries: Iterable[Logged], task: str, number: int) -> Call | None:
    """The call of one step; None when the log has none."""
    found = [call for call in calls(list(entries)) if (call.task, call.step) == (task, number)]
    return found[0] if found else None
