"""The checks that a mapping may name, and what watches the entries for them. Pure.

The set is closed: a mapping chooses from it and adds a number at most, so whoever reads one
need not ask what it runs. To add a check is a change of code, with its test.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

from reconciler.evidence import call_checks, change_checks, log_checks, person_checks
from reconciler.evidence.observation import Observation, Period, Tally
from reconciler.evidence.selection import Selection, selection
from runner.contract import errors


class Watch(Protocol):
    """Something that sees the entries of a period go by. `types` None: all of them."""

    @property
    def types(self) -> frozenset[str] | None:
        """The types of entry it wants to see."""

    def take(self, seq: int, fields: dict[str, Any]) -> None:
        """Look at the next entry."""

    def end(self, period: Period) -> Observation:
        """What was seen."""


class Asked(NamedTuple):
    """A question to the entries: a selection by its text, or a check with its number."""

    kind: Literal["select", "check"]
    what: str
    parameter: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """A check: what it says, what watches for it, and the parameter that it needs."""

    meaning: str
    watch: Callable[[int], Watch]
    parameter: Literal["days", "seconds"] | None = None


def _check(
    watch: Callable[[int], Watch], parameter: Literal["days", "seconds"] | None = None
) -> Check:
    return Check((watch.__doc__ or "").split("\n")[0], watch, parameter)


CHECKS: Final[dict[str, Check]] = {
    "approved_after_thought": _check(person_checks.ApprovedAfterThought, "seconds"),
    "approved_before_used": _check(person_checks.ApprovedBeforeUsed),
    "changes_from_git": _check(change_checks.ChangesFromGit),
    "changes_reviewed": _check(change_checks.ChangesReviewed),
    "changes_signed": _check(change_checks.ChangesSigned),
    "decided_before_started": _check(call_checks.DecidedBeforeStarted),
    "decisions_traceable": _check(call_checks.DecisionsTraceable),
    "drift_healed": _check(change_checks.DriftHealed),
    "drills_held": _check(change_checks.DrillsHeld),
    "fields_present": _check(call_checks.FieldsPresent),
    "four_eyes": _check(change_checks.FourEyes),
    "kept_for": _check(log_checks.KeptFor, "days"),
    "log_whole": _check(log_checks.LogWhole),
    "nothing_overridden": _check(change_checks.NothingOverridden),
    "programs_isolated": _check(call_checks.ProgramsIsolated),
    "published_without_failure": _check(log_checks.PublishedWithoutFailure),
    "reviewed_every": _check(person_checks.ReviewedEvery, "days"),
    "somebody_else_approved": _check(person_checks.SomebodyElseApproved),
    "started_calls_end": _check(call_checks.StartedCallsEnd),
    "stopped_in_order": _check(log_checks.StoppedInOrder),
    "unknown_resolved": _check(call_checks.UnknownResolved),
    "within_limits": _check(call_checks.WithinLimits),
}
NAMES: Final = tuple(CHECKS)


class _Selected:
    """Counts the entries of a selection."""

    def __init__(self, wanted: Selection) -> None:
        self._wanted = wanted
        self._tally = Tally()
        # Only entries of its types are shown to it, so most need not be looked at again.
        self._by_type = all(name == "type" for name, _ in wanted.conditions)
        self.types = wanted.types

    def take(self, seq: int, fields: dict[str, Any]) -> None:
        """Look at the next entry."""
        if self._by_type or self._wanted.takes(fields):
            self._tally.member(seq)

    def end(self, period: Period) -> Observation:
        """What was seen."""
        return self._tally.observation()


class Watching:
    """All that is asked, watched at once: each entry is shown to those that want its type."""

    def __init__(self, asked: Iterable[Asked]) -> None:
        self._watches: dict[Asked, Watch] = {one: _watch(one) for one in asked}
        self._by_type: dict[str, list[Watch]] = {}

    def take(self, seq: int, fields: dict[str, Any]) -> None:
        """Look at the next entry; AuditBroken for one that no program of ours wrote."""
        kind = fields.get("type")
        if not isinstance(kind, str) or not isinstance(fields.get("time"), int):
            raise errors.AuditBroken(
                f"entry {seq} has no type or no time; run `orloj audit verify`"
            )
        found = self._by_type.get(kind)
        if found is None:
            found = [
                watch
                for watch in self._watches.values()
                if watch.types is None or kind in watch.types
            ]
            self._by_type[kind] = found
        for watch in found:
            watch.take(seq, fields)

    def end(self, period: Period) -> dict[Asked, Observation]:
        """What was seen, by question."""
        return {one: watch.end(period) for one, watch in self._watches.items()}


def _watch(asked: Asked) -> Watch:
    if asked.kind == "select":
        return _Selected(selection(asked.what))
    return CHECKS[asked.what].watch(asked.parameter)
