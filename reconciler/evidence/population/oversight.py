"""Requests for a person's approval, from the question to the answer and its use.

    requested ──granted──> consumed
        │  └──denied        └──> expired: nobody used it in time
        ├──> expired: nobody decided in time
        └──> withdrawn: its task is over, or asks for another call

How long a person took runs from the entry of the request to the entry of the decision. A
yes within five seconds is counted by itself: nobody can have read much.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from reconciler.evidence.population.spool import Spool

QUICK_US: Final = 5_000_000
_KIND: Final = "approval"
_REQUESTED: Final = "action.approval_requested"
_MOVES: Final = {
    "action.approval_granted": "granted",
    "action.approval_denied": "denied",
    "action.approval_withdrawn": "withdrawn",
    "action.expired": "expired",
    "action.consumed": "consumed",
}
_DECIDED: Final = ("granted", "denied")
OPEN: Final = "requested"
BUCKETS: Final = (
    (5_000_000, "under 5 s"),
    (60_000_000, "5 s to 1 min"),
    (600_000_000, "1 to 10 min"),
    (3_600_000_000, "10 min to 1 h"),
    (28_800_000_000, "1 to 8 h"),
    (86_400_000_000, "8 to 24 h"),
)
LONGER: Final = "over 24 h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One request; `seq` is its first entry of the period. What lies outside is None.

    `state` is where it stood at the end of the period, `decision` what a person said.
    """

    id: str
    seq: int
    task: str = ""
    step: int = 0
    agent: str = ""
    tool: str = ""
    permission: str = ""
    rule: str = ""
    commit: str = ""
    digest: str = ""
    requested_us: int | None = None
    decided_us: int | None = None
    decision: str = ""
    approver: str = ""
    how: str = ""
    state: str = OPEN

    @property
    def latency_us(self) -> int | None:
        """From the question to the answer; None unless both lie in the period."""
        if self.requested_us is None or self.decided_us is None:
            return None
        return self.decided_us - self.requested_us


@dataclass(slots=True)
class Oversight:
    """What the approvals of a period come to. Times are microseconds."""

    states: Counter[str]
    decisions: Counter[str]
    buckets: dict[str, int]
    approvers: dict[str, Counter[str]]
    decided: int = 0
    quick: int = 0
    """Granted within five seconds."""
    median_us: int | None = None
    longest_us: int | None = None


class Approvals:
    """Collects the approvals of a period."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def take(self, fields: dict[str, Any]) -> None:
        """Look at an entry."""
        kind, id = fields["type"], fields.get("approval")
        if id is None or (kind != _REQUESTED and kind not in _MOVES):
            return
        item = self._spool.get(_KIND, id)
        found = Approval(id=id, seq=fields["seq"]) if item is None else Approval(**item)
        found = _known(found, fields)
        if kind == _REQUESTED:
            found = replace(found, requested_us=fields["time"])
        else:
            found = _moved(found, _MOVES[kind], fields)
        self._spool.put(_KIND, id, found.seq, asdict(found))

    def each(self) -> Iterator[Approval]:
        """Every approval, in the order of their first entries."""
        return (Approval(**item) for _, item in self._spool.each(_KIND))

    @property
    def count(self) -> int:
        """How many there are."""
        return self._spool.count(_KIND)

    def summary(self) -> Oversight:
        """What they come to."""
        found = Oversight(Counter(), Counter(), {name: 0 for _, name in BUCKETS}, {})
        found.buckets[LONGER] = 0
        took: list[int] = []
        for one in self.each():
            found.states[one.state] += 1
            if one.decision:
                found.decisions[one.decision] += 1
                found.approvers.setdefault(one.approver, Counter())[one.decision] += 1
            if (latency_us := one.latency_us) is not None:
                took.append(latency_us)
                found.buckets[bucket(latency_us)] += 1
                found.quick += one.decision == "granted" and latency_us < QUICK_US
        took.sort()
        found.decided = len(took)
        if took:
            found.median_us, found.longest_us = took[(len(took) - 1) // 2], took[-1]
        return found


def bucket(latency_us: int) -> str:
    """Which bar of the chart a time to decide belongs to."""
    return next((name for bound_us, name in BUCKETS if latency_us < bound_us), LONGER)


def _known(found: Approval, fields: dict[str, Any]) -> Approval:
    """With what an entry says that was not known yet."""
    names = ("task", "step", "agent", "tool", "permission", "rule", "commit", "digest")
    fresh: dict[str, Any] = {
        name: fields[name] for name in names if not getattr(found, name) and fields.get(name)
    }
    return replace(found, **fresh) if fresh else found


def _moved(found: Approval, state: str, fields: dict[str, Any]) -> Approval:
    if state not in _DECIDED:
        return replace(found, state=state)
    return replace(
        found,
        state=state,
        decision=state,
        decided_us=fields["time"],
        approver=str(fields.get("actor", "")).removeprefix("approver:"),
        how=fields.get("reason") or "",
    )
