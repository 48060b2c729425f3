"""The calls of the past, decided again under other manifests. Pure.

    past calls (newest first, bounded) ──decide under what is planned──> what differs

A call was allowed or denied when it was made; the journal says which. What would go another
way now is counted by agent, tool and reason, with the first tasks it happened in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from runner.contract.errors import OrlojError
from runner.contract.kinds import Key
from runner.governance import judge
from runner.governance.verdict import Call, Decision, Verdict, deny
from runner.manifest_set import ManifestSet

CALLS_MAX: Final = 10_000
TASKS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call as the journal holds it."""

    task: str
    subject: Key
    agent: str
    allowed: bool
    call: Call


@dataclass(frozen=True, slots=True)
class Difference:
    """Calls of one agent to one tool that would go another way now, for one reason."""

    decision: Decision
    agent: str
    tool: str
    reason: str
    rule: str
    calls: int
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the calls. `bounded`: there are more than were looked at."""

    since_us: int
    calls: int
    bounded: bool
    differences: tuple[Difference, ...] = field(default=())

    def count(self, decision: Decision) -> int:
        """How many calls would now end so and did not."""
        return sum(item.calls for item in self.differences if item.decision is decision)


def replay(
    calls: Iterable[PastCall],
    manifests: Callable[[Key], ManifestSet],
    since_us: int,
    progress: Callable[[int], None],
) -> Replayed:
    """Decide on every call under the manifests of its subject, which may be gone."""
    sets: dict[Key, ManifestSet | None] = {}
    found: dict[tuple[Decision, str, str, str, str], list[str]] = {}
    count = 0
    for past in calls:
        if count == CALLS_MAX:
            return _replayed(found, since_us, count, bounded=True)
        count += 1
        progress(count)
        if past.subject not in sets:
            sets[past.subject] = _set(manifests, past.subject)
        verdict = _verdict(sets[past.subject], past)
        if _differs(past, verdict):
            key = (verdict.decision, past.agent, past.call.tool, verdict.reason, verdict.rule)
            found.setdefault(key, []).append(past.task)
    return _replayed(found, since_us, count, bounded=False)


def _replayed(
    found: dict[tuple[Decision, str, str, str, str], list[str]],
    since_us: int,
    count: int,
    *,
    bounded: bool,
) -> Replayed:
    differences = [
        Difference(*key, len(tasks), tuple(dict.fromkeys(tasks))[:TASKS_SHOWN])
        for key, tasks in found.items()
    ]
    differences.sort(key=lambda item: (-item.calls, item.agent, item.tool, item.reason))
    return Replayed(
        since_us=since_us, calls=count, bounded=bounded, differences=tuple(differences)
    )


def _differs(past: PastCall, verdict: Verdict) -> bool:
    """Whether the call would go another way; what waits for a person went no way before."""
    if past.allowed:
        return verdict.decision is not Decision.ALLOW
    return verdict.decision is Decision.ALLOW


def _set(manifests: Callable[[Key], ManifestSet], subject: Key) -> ManifestSet | None:
    try:
        return manifests(subject)
    except OrlojError:
        return None


def _verdict(manifests: ManifestSet | None, past: PastCall) -> Verdict:
    subject = past.subject
    if manifests is None:
        return deny(f"{subject} is not declared any more", "")
    try:
        if past.agent not in manifests.order:
            return deny(f"{past.agent} is no agent of {subject} any more", "")
        agent = manifests.agent(past.agent)
    except OrlojError as error:
        return deny(str(error), "")
    return judge.decide(manifests, agent, past.call)
