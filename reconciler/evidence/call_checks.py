"""Checks of calls: decided before they begin, ended once begun, within their limits. Pure.

    requested ──> decided ──allow──> started ──> executed | failed | unknown
                     └────deny──> nothing follows

A task that was under way before the period is known from its first entry in it: that number
among the entries of its task is above 1. What came before is not held against it.
"""

from typing import Any, Final

from reconciler.evidence.observation import Observation, Period, Tally, Watch
from runner.contract.audit_entry import CLOSING

Fields = dict[str, Any]
Call = tuple[str, int]

_ENDS: Final = frozenset({"action.executed", "action.failed", "action.unknown"})
_CLOSING: Final = frozenset(kind.value for kind in CLOSING)
_LIFE: Final = frozenset({"action.decided", "action.started", "task.retried"})


def stated(fields: Fields, name: str) -> bool:
    """Whether an entry has a field, in the header or as a commitment."""
    return bool(fields.get(name)) or name in (fields.get("private") or {})


class _Calls:
    """The calls of the tasks under way, by task and step. Forgets a task when it is over."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._tasks: dict[str, dict[int, Any]] = {}
        self._whole: set[str] = set()

    def see(self, fields: Fields) -> bool:
        """Take note of a task; False for an entry of none, or when there are too many."""
        task = fields.get("task")
        if not isinstance(task, str):
            return False
        if task not in self._tasks:
            if not self._tally.room(len(self._tasks)):
                return False
            self._tasks[task] = {}
            if fields.get("task_seq") == 1 or fields.get("type") == "task.retried":
                self._whole.add(task)
        return True

    def whole(self, fields: Fields) -> bool:
        """Whether all of the task's life until now was seen."""
        return fields["task"] in self._whole

    def of(self, fields: Fields) -> dict[int, Any]:
        """What is remembered of the task's calls, by step."""
        return self._tasks[fields["task"]]

    def forget(self, fields: Fields) -> None:
        """The task is over."""
        self._tasks.pop(fields["task"], None)
        self._whole.discard(fields["task"])


class DecidedBeforeStarted(Watch):
    """Every call that began had been allowed, and no call that was denied began."""

    types = _LIFE | _CLOSING | {"task.queued"}

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._calls = _Calls(self._tally)

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        if not self._calls.see(fields):
            return
        kind, step = fields["type"], fields.get("step")
        if kind in _CLOSING:
            self._calls.forget(fields)
        elif kind == "action.decided" and isinstance(step, int):
            self._calls.of(fields)[step] = fields.get("decision")
        elif kind == "action.started" and isinstance(step, int):
            self._tally.member(seq)
            said = self._calls.of(fields).pop(step, None)
            if said is None and self._calls.whole(fields):
                self._tally.exception(seq, "a call began that nobody had decided on")
            elif said not in (None, "allow"):
                self._tally.exception(seq, f"a call began though the decision was {said}")


class StartedCallsEnd(Watch):
    """Every call that began has an entry that says how it ended, before its task is over.

    A call under way when the period ends is no exception.
    """

    types = frozenset({"action.started", "task.queued"}) | _ENDS | _CLOSING

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._calls = _Calls(self._tally)

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        if not self._calls.see(fields):
            return
        kind, step = fields["type"], fields.get("step")
        if kind == "action.started":
            self._tally.member(seq)
        if kind in _CLOSING:
            # Whoever cancels a task during a call names the call that was cut off.
            if isinstance(step, int):
                self._calls.of(fields).pop(step, None)
            for begun in sorted(self._calls.of(fields).values()):
                self._tally.exception(begun, "a call began and no entry says how it ended")
            self._calls.forget(fields)
        elif isinstance(step, int) and kind == "action.started":
            self._calls.of(fields)[step] = seq
        elif isinstance(step, int) and kind in _ENDS:
            self._calls.of(fields).pop(step, None)


class DecisionsTraceable(Watch):
    """Every decision names agent, commit and manifest set, and the line if it allows."""

    types = frozenset({"action.decided"})

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        needed = ["agent", "manifests", "decision", "reason"]
        if fields.get("decision") == "allow":
            needed.append("rule")
        missing = [name for name in needed if not stated(fields, name)]
        if not stated(fields, "tool") and not fields.get("model"):
            missing.append("tool or model")
        if fields.get("commit") in (None, "", "none"):
            missing.append("commit")
        if missing:
            self._tally.exception(seq, f"the decision does not name: {', '.join(missing)}")


class FieldsPresent(Watch):
    """Every entry of a call says who, what, when, from where and with which outcome."""

    types = frozenset(
        {"action.requested", "action.decided", "action.started", "action.executed"}
        | {"action.failed", "action.unknown", "access.read", "access.exported"}
    )

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        needed = ["actor", "time", "type", "code"]
        if fields["type"] in _ENDS:
            needed.append("outcome")
        missing = [name for name in needed if not stated(fields, name)]
        called = stated(fields, "tool") or bool(fields.get("model"))
        if fields["type"].startswith("action.") and not called:
            missing.append("tool or model")
        if missing:
            self._tally.exception(seq, f"the entry does not say: {', '.join(missing)}")


class WithinLimits(Watch):
    """No call set aside or used more than a limit it falls under."""

    types = frozenset({"tokens.reserved", "alert.token_overrun"})

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        if fields["type"] == "alert.token_overrun":
            self._tally.exception(seq, "a call used more than it had set aside")
            return
        self._tally.member(seq)
        for dimension, whom, amount, limit in fields.get("charges") or ():
            if amount > limit:
                what = f"{amount} were set aside for {whom} where {dimension} is {limit}"
                self._tally.exception(seq, what)


class ProgramsIsolated(Watch):
    """No program of a tool ran without a sandbox."""

    types = frozenset({"action.executed", "action.failed"})

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        isolation = fields.get("isolation")
        if isolation is None:
            return
        self._tally.member(seq)
        if isolation == "none":
            self._tally.exception(seq, "a program of a tool ran without a sandbox")


class UnknownResolved(Watch):
    """Every call whose outcome nobody saw was cleared up by a person."""

    types = frozenset({"action.unknown", "task.resolved", "task.cancelled"})

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._open: dict[str, int] = {}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        task = str(fields.get("task"))
        if fields["type"] != "action.unknown":
            self._open.pop(task, None)
            return
        self._tally.member(seq)
        if self._tally.room(len(self._open)):
            self._open[task] = seq

    def end(self, period: Period) -> Observation:
        """What was seen; what is still open is an exception."""
        for seq in sorted(self._open.values()):
            self._tally.exception(seq, "nobody said whether the interrupted call ran")
        return self._tally.observation()
