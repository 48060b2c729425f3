"""Checks of changes: from Git, with a second person, none let pass, drift healed. Pure.

Who reviewed a commit stands in `manifest.applied` as a commitment (`private.reviewers`); that
it is there shows that somebody did. Who they were is disclosed beside the log.
"""

from collections.abc import Iterable
from typing import Any, Final

from reconciler.evidence.observation import Observation, Period, Tally, Watch

Fields = dict[str, Any]

_APPLIED: Final = frozenset({"manifest.applied", "manifest.reverted"})
_FROM_GIT: Final = "git:"
_PLAN: Final = "plan"
"""The override that is a person's yes to a plan that the settings let wait for one."""


class ChangesFromGit(Watch):
    """Every change was applied from a commit, none by hand."""

    types = _APPLIED

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        if not str(fields.get("actor")).startswith(_FROM_GIT):
            self._tally.exception(seq, "a manifest was applied by hand, without a commit")
        elif fields.get("commit") in (None, "none"):
            self._tally.exception(seq, "a change names no commit")


class ChangesReviewed(Watch):
    """Every commit that was applied has a reviewer, or a person's approval of its plan.

    What is put back after a failed canary was applied before, and is not asked for again.
    """

    types = frozenset({"manifest.applied", "manifest.overridden"})

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._approved: set[str] = set()

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        commit = str(fields.get("commit"))
        if fields["type"] == "manifest.overridden":
            if fields.get("outcome") == _PLAN and self._tally.room(len(self._approved)):
                self._approved.add(commit)
            return
        self._tally.member(seq)
        reviewed = "reviewers" in (fields.get("private") or {})
        if not reviewed and commit not in self._approved:
            self._tally.exception(seq, "applied without a reviewer and without an approval")
        self._approved.discard(commit)


class FourEyes(Watch):
    """Every commit that was applied was looked at by somebody who wrote none of it."""

    types = frozenset({"manifest.applied"})

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)

    def end(self, period: Period) -> Observation:
        """What the entries can say: that there were changes. See `four_eyes` for the rest."""
        if self._tally.population:
            self._tally.untold = "who wrote a commit stands in Git, and no mirror was at hand"
        return self._tally.observation()


def four_eyes(changes: Iterable[tuple[int, str, str]]) -> Observation:
    """The same with what Git says of each change: its entry, `yes`, `no` or `unknown`, why."""
    tally, unknown = Tally(), 0
    for seq, verdict, why in changes:
        tally.member(seq)
        if verdict == "no":
            tally.exception(seq, why)
        elif verdict != "yes":
            unknown += 1
            tally.untold = (
                f"of {unknown} changes it cannot be told; the last, entry {seq}: {why}"
            )
    return tally.observation()


class ChangesSigned(Watch):
    """Every commit that was applied carries a signature that was verified."""

    types = frozenset({"manifest.applied"})

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        if "signer" not in (fields.get("private") or {}):
            self._tally.exception(seq, "applied without a verified signature")


class NothingOverridden(Watch):
    """No commit was let pass that a rule would have stopped."""

    types = _APPLIED | {"manifest.overridden"}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        if fields["type"] in _APPLIED:
            self._tally.member(seq)
        elif fields.get("outcome") != _PLAN:
            what = f"what a rule would have stopped was let pass: {fields.get('resource')}"
            self._tally.exception(seq, what)


class DriftHealed(Watch):
    """Whatever was found not as it had been applied was set right in the period."""

    types = frozenset({"drift.detected", "drift.healed"}) | {
        *("resource.created", "resource.updated", "resource.deleted")
    }

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._open: dict[str, int] = {}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        resource = str(fields.get("resource"))
        if fields["type"] != "drift.detected":
            self._open.pop(resource, None)
            return
        self._tally.member(seq)
        if self._tally.room(len(self._open)):
            self._open[resource] = seq

    def end(self, period: Period) -> Observation:
        """What was seen; what is not healed yet is an exception."""
        for resource, seq in sorted(self._open.items(), key=lambda item: item[1]):
            self._tally.exception(seq, f"{resource} drifted and was not set right")
        return self._tally.observation()


class DrillsHeld(Watch):
    """Every drill of faults held what is promised."""

    types = frozenset({"drill.done"})

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        if fields.get("outcome") != "held":
            self._tally.exception(seq, "a drill did not hold what is promised")
