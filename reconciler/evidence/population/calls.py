"""Every call of a model or a tool, followed from its request to its end. Pure.

    requested ──decided──> denied
                   │  └──> asked ──a person──> decided again
                   └──> allowed ──started──> executed | failed | unknown
                                      └──> interrupted: the entry that took the task away

A step that is missing is an orphan: requested and never decided, allowed and never started,
started and never ended although its task did end, ended or started without the step before.
Entries of one transaction have one time, so that only what ran, or waited for a person, can
lie across the borders of a period: such a call is counted there, and is no orphan.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from runner.contract.task_state import TaskState

ORPHANS_MAX: Final = 1_000
"""Orphans that are kept; all are counted."""
_ENDS: Final = {
    "action.executed": "executed",
    "action.failed": "failed",
    "action.unknown": "unknown",
}
_CLOSED: Final = ("denied", *_ENDS.values())
_TAKEN: Final = ("task.released", "task.finished", "task.cancelled", "task.parked")
_OVER: Final = ("task.finished", "task.cancelled")
COUNTED: Final = ("requested", "allow", "ask", "deny", "executed", "failed", "unknown")


@dataclass(slots=True)
class Tally:
    """How many calls of one agent and one tool or model there were, by what became of them."""

    agent: str
    target: str
    kind: str
    requested: int = 0
    allow: int = 0
    ask: int = 0
    deny: int = 0
    executed: int = 0
    failed: int = 0
    unknown: int = 0
    interrupted: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    duration_us: int = 0


@dataclass(slots=True)
class Denials:
    """What one rule denied; `reason` is the first one given."""

    rule: str
    agent: str
    target: str
    permission: str
    reason: str
    count: int = 0
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Orphan:
    """A call that lacks a step, and the entry that shows it."""

    task: str
    step: int
    seq: int
    what: str


@dataclass(slots=True)
class _Call:
    state: str
    seq: int
    tally: Tally


@dataclass(slots=True)
class Calls:
    """Follows the calls of a period; memory grows with those under way at one time."""

    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    denials: dict[tuple[str, str, str, str], Denials] = field(default_factory=dict)
    orphans: list[Orphan] = field(default_factory=list)
    orphan_count: int = 0
    earlier: int = 0
    """Calls that began before the period."""
    under_way: int = 0
    """Calls that had not ended, or still waited for a person, when the period did."""
    _open: dict[str, dict[int, _Call]] = field(default_factory=dict)

    def take(self, fields: dict[str, Any], *, whole: bool) -> str | None:
        """Look at an entry; the id of the call it is about, the number of its first entry.

        `whole` says that all entries of its task so far lie in the period.
        """
        kind, step = fields["type"], fields.get("step")
        if kind in _TAKEN:
            self._taken(fields)
        if not kind.startswith("action.") or step is None or "task" not in fields:
            return None
        calls = self._open.setdefault(fields["task"], {})
        call = self._stepped(fields, calls.get(step), whole=whole)
        if call is None:
            return None
        calls[step] = call
        if call.state in _CLOSED:
            del calls[step]
        return str(call.seq)

    def end(self) -> None:
        """The period is over: what one transaction should have brought is missing for good."""
        for task, calls in self._open.items():
            for step, call in calls.items():
                if call.state in ("asked", "started"):
                    self.under_way += 1
                else:
                    self._orphan({"task": task, "step": step}, call.seq, _MISSING[call.state])
        self._open.clear()

    def _stepped(
        self, fields: dict[str, Any], call: _Call | None, *, whole: bool
    ) -> _Call | None:
        match fields["type"]:
            case "action.requested":
                return self._requested(fields, call)
            case "action.decided":
                return self._decided(fields, call)
            case "action.started":
                return self._started(fields, call)
            case kind if kind in _ENDS:
                return self._ended(fields, call, whole=whole)
        return call

    def _requested(self, fields: dict[str, Any], call: _Call | None) -> _Call:
        if call is not None and call.state in _MISSING:
            self._orphan(fields, call.seq, _MISSING[call.state])
        call = self._call(fields)
        call.state = "requested"
        call.tally.requested += 1
        return call

    def _decided(self, fields: dict[str, Any], call: _Call | None) -> _Call:
        if call is None:
            if fields.get("approval"):
                self.earlier += 1
            else:
                self._orphan(fields, fields["seq"], "decided without being requested")
            call = self._call(fields)
        match fields.get("decision"):
            case "allow":
                call.tally.allow += 1
                call.state = "allowed"
            case "ask":
                call.tally.ask += 1
                call.state = "asked"
            case _:
                call.tally.deny += 1
                call.state = "denied"
                self._denied(fields)
        return call

    def _started(self, fields: dict[str, Any], call: _Call | None) -> _Call:
        if call is None or call.state != "allowed":
            self._orphan(fields, fields["seq"], "started without being allowed")
            call = self._call(fields)
        call.state = "started"
        return call

    def _ended(self, fields: dict[str, Any], call: _Call | None, *, whole: bool) -> _Call:
        if call is None or call.state != "started":
            if whole:
                self._orphan(fields, fields["seq"], "ended without being started")
            else:
                self.earlier += 1
        call = call or self._call(fields)
        name = call.state = _ENDS[fields["type"]]
        setattr(call.tally, name, getattr(call.tally, name) + 1)
        call.tally.tokens_in += fields.get("tokens_in") or 0
        call.tally.tokens_out += fields.get("tokens_out") or 0
        call.tally.duration_us += fields.get("duration_us") or 0
        return call

    def _taken(self, fields: dict[str, Any]) -> None:
        """A task is taken from its worker: what was under way is interrupted, and said so."""
        task, over = fields.get("task", ""), fields["type"] in _OVER
        good = fields.get("outcome") == TaskState.SUCCEEDED.value
        calls = self._open.get(task, {})
        for step, call in list(calls.items()):
            if call.state == "started":
                if good:
                    what = "started and never ended, though its task succeeded"
                    self._orphan({"task": task, "step": step}, call.seq, what)
                call.tally.interrupted += not good
                del calls[step]
            elif call.state != "asked":
                self._orphan({"task": task, "step": step}, call.seq, _MISSING[call.state])
                del calls[step]
        if over or not calls:
            self._open.pop(task, None)

    def _denied(self, fields: dict[str, Any]) -> None:
        target = fields.get("tool") or fields.get("model") or ""
        rule, permission = fields.get("rule") or "", fields.get("permission") or ""
        key = (rule, fields.get("agent") or "", target, permission)
        if (found := self.denials.get(key)) is None:
            reason, first = fields.get("reason") or "", fields["seq"]
            found = self.denials[key] = Denials(*key, reason=reason, first=first)
        found.count += 1
        found.last = fields["seq"]

    def _call(self, fields: dict[str, Any]) -> _Call:
        return _Call("", fields["seq"], self._tally(fields))

    def _tally(self, fields: dict[str, Any]) -> Tally:
        kind = "model" if fields.get("model") else "tool"
        key = (fields.get("agent") or "", fields.get(kind) or "", kind)
        return self.tallies.setdefault(key, Tally(*key))

    def _orphan(self, fields: dict[str, Any], seq: int, what: str) -> None:
        self.orphan_count += 1
        if len(self.orphans) < ORPHANS_MAX:
            self.orphans.append(Orphan(fields["task"], fields["step"], seq, what))


_MISSING: Final = {
    "": "decided and never started",
    "requested": "requested and never decided",
    "allowed": "allowed and never started",
}


def totals(tallies: Iterable[Tally]) -> dict[str, int]:
    """The sums over all agents and tools."""
    found = list(tallies)
    return {name: sum(getattr(one, name) for one in found) for name in COUNTED}
