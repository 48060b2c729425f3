"""How each resource is, from what is recorded about it. Pure; nothing is called to find out.

A resource answers for itself only: a schedule whose agent is ill is well, and the agent is
named. The rules stand as a table in docs/status.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from runner.contract.errors import Refused
from runner.contract.kinds import Key, spec_of
from runner.contract.task_state import FINISHED, TaskState

LAST_TASKS: Final = 5
_FINISHED: Final = frozenset(state.value for state in FINISHED)
_ASKS: Final = frozenset({TaskState.WAITING_APPROVAL.value, TaskState.UNKNOWN_OUTCOME.value})
_BAD: Final = frozenset({TaskState.FAILED.value, TaskState.DEAD.value})


class Health(StrEnum):
    """How a resource is."""

    HEALTHY = "Healthy"
    """Nothing that is recorded speaks against it."""
    PROGRESSING = "Progressing"
    """It is on its way: a task of it runs or waits for a worker."""
    DEGRADED = "Degraded"
    """It cannot work, or its last work failed."""
    SUSPENDED = "Suspended"
    """A person stopped it, or has to decide."""
    MISSING = "Missing"
    """It is named by another one, and nobody declares it."""
    UNKNOWN = "Unknown"
    """What is recorded of it cannot be read."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task as far as it speaks for its resources."""

    id: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """The last call of a tool or a model endpoint: its phase, and what was said of it."""

    phase: str
    said: str


@dataclass(frozen=True, slots=True)
class Turns:
    """What became of a schedule's moments: why it cannot be read, the last one missed."""

    unreadable: str = ""
    missed: str = ""
    task: Work | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is recorded about one resource; `tasks` are the newest first."""

    key: Key
    body: str
    missing: Sequence[Key] = ()
    tasks: Sequence[Work] = ()
    call: Call | None = None
    turns: Turns = field(default_factory=Turns)
    refuses: str = ""
    """Why a webhook lets nothing in."""
    held: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """How a resource is, and the sentence that says why."""

    key: Key
    health: Health
    why: str


def judge(evidence: Evidence) -> Finding:
    """How a resource is."""
    try:
        spec_of(evidence.key.kind, evidence.body)
    except Refused as error:
        return Finding(evidence.key, Health.UNKNOWN, str(error))
    spec = json.loads(evidence.body)["spec"]
    rule = _RULES.get(evidence.key.kind, _recorded)
    health, why = _incomplete(evidence) or rule(evidence, spec)
    return Finding(evidence.key, health, why)


def missing(key: Key, named_by: Key) -> Finding:
    """What is named and not declared."""
    return Finding(key, Health.MISSING, f"{named_by} names it, and nobody declares it")


_Said = tuple[Health, str]


def _incomplete(evidence: Evidence) -> _Said | None:
    if not evidence.missing:
        return None
    names = ", ".join(str(key) for key in evidence.missing[:3])
    return Health.DEGRADED, f"it needs {names}, which nobody declares"


def _recorded(evidence: Evidence, spec: Mapping[str, Any]) -> _Said:
    return Health.HEALTHY, "recorded"


def _worker(evidence: Evidence, spec: Mapping[str, Any]) -> _Said:
    """An Agent or an AgentSystem: by the last of its tasks that ended."""
    ended = [work for work in evidence.tasks if work.state in _FINISHED][:LAST_TASKS]
    if not ended:
        return Health.HEALTHY, "complete; no task of it ended lately"
    bad = [work for work in ended if work.state in _BAD]
    if ended[0].state in _BAD:
        why = f"{len(bad)} of its last {len(ended)} tasks failed, the last {ended[0].id}"
        return Health.DEGRADED, f"{why}: {ended[0].error or ended[0].state}"
    return Health.HEALTHY, f"{len(ended) - len(bad)} of its last {len(ended)} tasks ended well"


def _tool(evidence: Evidence, spec: Mapping[str, Any]) -> _Said:
    if not spec.get("requires"):
        return Health.DEGRADED, "it declares no `requires`, so every call of it is denied"
    return _called(evidence, spec)


def _called(evidence: Evidence, spec: Mapping[str, Any]) -> _Said:
    """A Tool or a ModelEndpoint: by its last call."""
    call = evidence.call
    if call is None:
        return Health.HEALTHY, "not called lately"
    if call.phase == "failed":
        return Health.DEGRADED, f"its last call failed: {call.said}"
    return Health.HEALTHY, "its last call was answered"


def _task(evidence: Evidence, spec: Mapping[str, Any]) -> _Said:
    if spec.get("mode") == "template":
        return Health.HEALTHY, "a template"
    if evidence.held:
        return Health.PROGRESSING, "it waits for the canary of its revision"
    if not evidence.tasks:
        return Health.HEALTHY, "no task of it is known lately"
    return _state(evidence.tasks[0])


def _state(work: Work) -> _Said:
    if work.state in _BAD:
        return Health.DEGRADED, f"task {work.id} is {work.state}: {work.error or 'no reason'}"
    if work.state in _ASKS:
        return Health.SUSPENDED, f"task {work.id} waits for a person"
    if work.state not in _FINISHED:
        word = "running" if work.state == TaskState.LEASED else work.state
        return Health.PROGRESSING, f"task {work.id} is {word}"
    if work.state == TaskState.SUCCEEDED:
        return Health.HEALTHY, f"task {work.id} succeeded"
    return Health.SUSPENDED, f"task {work.id} was {work.state} by a person"


def _schedule(evidence: Evidence, spec: Mapping[str, Any]) -> _Said:
    turns = evidence.turns
    if turns.unreadable:
        return Health.DEGRADED, f"it cannot be read and runs nothing: {turns.unreadable}"
    if spec.get("suspend"):
        return Health.SUSPENDED, "its manifest suspends it"
    if evidence.held:
        return Health.PROGRESSING, "it waits for the canary of its revision"
    if turns.missed:
        return Health.DEGRADED, f"its last moment was missed: {turns.missed}"
    if turns.task is not None and turns.task.state in _BAD:
        return _state(turns.task)
    return Health.HEALTHY, "its moments are decided in time"


def _webhook(evidence: Evidence, spec: Mapping[str, Any]) -> _Said:
    if spec.get("suspend"):
        return Health.SUSPENDED, "its manifest suspends it"
    if evidence.refuses:
        return Health.DEGRADED, f"it lets nothing in: {evidence.refuses}"
    return Health.HEALTHY, "it takes deliveries"


_RULES: Final = {
    "Agent": _worker,
    "AgentSystem": _worker,
    "Tool": _tool,
    "ModelEndpoint": _called,
    "Task": _task,
    "TaskSchedule": _schedule,
    "TaskWebhook": _webhook,
}
