"""Checks of what people did: approved before a call, somebody else's, after a thought. Pure.

approval_requested ──> approval_granted ──> consumed ──> started
                  └──> approval_denied, expired, withdrawn
"""

from typing import Any, Final

from reconciler.evidence.observation import Observation, Period, Tally, Watch

Fields = dict[str, Any]

_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _US
_REQUESTED: Final = "action.approval_requested"
_GRANTED: Final = "action.approval_granted"
_DENIED: Final = "action.approval_denied"
_CONSUMED: Final = "action.consumed"
_BY_THEMSELVES: Final = (
    *("git:", "schedule:", "webhook:", "worker:", "canary", "runner:", "daemon:", "task:"),
)
"""How actors begin that are no people, and queue tasks."""
_OVER: Final = frozenset({"action.expired", "action.approval_withdrawn"})


class ApprovedBeforeUsed(Watch):
    """Every approval that was used up had been given to that very request, and used once."""

    types = _OVER | {_REQUESTED, _GRANTED, _DENIED, _CONSUMED}

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._states: dict[str, tuple[str, Any]] = {}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        kind, request = fields["type"], fields.get("approval")
        if kind == _REQUESTED:
            self._tally.member(seq)
        if not isinstance(request, str):
            self._tally.exception(seq, "the entry does not say which request it is about")
        elif kind == _REQUESTED:
            if self._tally.room(len(self._states)):
                self._states[request] = (kind, fields.get("digest"))
        elif request in self._states:  # One asked before the period is not held against it.
            self._follow(seq, fields, request)

    def _follow(self, seq: int, fields: Fields, request: str) -> None:
        kind, (before, digest) = fields["type"], self._states[request]
        if fields.get("digest") not in (None, digest):
            self._tally.exception(seq, "what was decided on is not what was asked")
        if kind == _CONSUMED and before == _CONSUMED:
            self._tally.exception(seq, "an approval was used twice")
        elif kind == _CONSUMED and before != _GRANTED:
            self._tally.exception(seq, "an approval was used that nobody had given")
        if kind in _OVER:
            del self._states[request]
        else:
            self._states[request] = (kind, digest)


class SomebodyElseApproved(Watch):
    """Nobody approved a call of a task that they had queued themselves."""

    types = frozenset({"task.queued", "task.retried", _GRANTED, "task.finished"}) | {
        "task.cancelled"
    }

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._queued: dict[str, str | None] = {}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        kind, task, actor = fields["type"], str(fields.get("task")), str(fields.get("actor"))
        if kind == _GRANTED:
            self._tally.member(seq)
            self._compare(seq, task, actor)
        elif kind in ("task.finished", "task.cancelled"):
            self._queued.pop(task, None)
        elif not actor.startswith(_BY_THEMSELVES) and self._tally.room(len(self._queued)):
            self._queued[task] = _name(actor, "person:")

    def _compare(self, seq: int, task: str, actor: str) -> None:
        if task not in self._queued:
            return  # No person queued it.
        approver, queued = _name(actor, "approver:"), self._queued[task]
        if approver is None or queued is None:
            self._tally.untold = "who queued a task or approved its call is not disclosed"
        elif approver == queued:
            self._tally.exception(seq, "whoever queued the task approved its call")


class ApprovedAfterThought(Watch):
    """Every approval came at least so many seconds after the call was shown."""

    types = _OVER | {_REQUESTED, _GRANTED, _DENIED}

    def __init__(self, parameter: int) -> None:
        self._seconds = parameter
        self._tally = Tally()
        self._asked: dict[str, int] = {}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        kind, request, time = fields["type"], str(fields.get("approval")), fields["time"]
        if kind == _REQUESTED:
            if self._tally.room(len(self._asked)):
                self._asked[request] = time
            return
        asked = self._asked.pop(request, None)
        if kind == _GRANTED:
            self._tally.member(seq)
            if asked is not None and time - asked < self._seconds * _US:
                what = f"approved {(time - asked) / _US:.1f} s after it was asked"
                self._tally.exception(seq, f"{what}, under {self._seconds} s")


class ReviewedEvery(Watch):
    """The log was reviewed, and no more than so many days passed without a review."""

    types = frozenset({"access.reviewed"})

    def __init__(self, parameter: int) -> None:
        self._days = parameter
        self._tally = Tally()
        self._last: tuple[int, int] | None = None

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        if self._last is not None:
            self._gap(self._last[0], fields["time"], seq)
        self._tally.member(seq)
        self._last = (fields["time"], seq)

    def _gap(self, since_us: int, until_us: int, seq: int) -> None:
        if until_us - since_us > self._days * _DAY_US:
            days = (until_us - since_us) / _DAY_US
            what = f"{days:.1f} days without a review, more than {self._days}"
            self._tally.exception(seq, what)

    def end(self, period: Period) -> Observation:
        """What was seen; the end of the period closes the last gap."""
        if self._last is not None:
            self._gap(self._last[0], period.until_us, self._last[1])
        return self._tally.observation()


def _name(actor: str, role: str) -> str | None:
    """What a person is called in a role; None for a pseudonym, or a name that was erased."""
    return actor.removeprefix(role) if actor.startswith(role) else None
