"""Whether a revision that was applied is good: what its evaluation tasks say. Pure.

    every task succeeded, no call of it was denied ──> passed
    one failed, was stopped, was denied, or ran out of time ──> failed, and it is named
    else ──> waiting

A Task says that it is one by the annotation `orloj.dev/canary: "true"`, and by
`orloj.dev/canary-timeout` how long it may take.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runner.contract.kinds import Key
from runner.contract.kinds.base import seconds
from runner.contract.task_state import FINISHED, TaskState

ANNOTATION: Final = "orloj.dev/canary"
TIMEOUT: Final = "orloj.dev/canary-timeout"
TIMEOUT_S: Final = 600.0
TIMEOUT_MAX_S: Final = 86_400.0
_FINISHED: Final = frozenset(state.value for state in FINISHED)


class Verdict(StrEnum):
    """What the tasks say of a revision."""

    WAITING = "waiting"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation task of a revision: its manifest, its id, and when its time is over."""

    key: Key
    task: str
    deadline_us: int


@dataclass(frozen=True, slots=True)
class Seen:
    """How an evaluation task stands. `denied` is the call that was, if one was."""

    evaluation: Evaluation
    state: str
    error: str | None = None
    denied: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict; how many of how many passed; of a failure, the task and why."""

    verdict: Verdict
    passed: int
    of: int
    task: Key | None = None
    why: str = ""

    @property
    def words(self) -> str:
        """The sentence for the condition."""
        if self.verdict is Verdict.FAILED:
            return f"evaluation {self.task} {self.why}"
        return f"{self.passed} of {self.of} evaluation tasks passed"


def timeout_s(annotations: Mapping[str, str]) -> float | None:
    """How long an evaluation may take; None for a Task that is none. ValueError says why."""
    marked = annotations.get(ANNOTATION, "false")
    if marked not in ("true", "false"):
        raise ValueError(f'{ANNOTATION} must be "true" or "false"')
    given = annotations.get(TIMEOUT)
    length = TIMEOUT_S if given is None else seconds(given)
    if not 0 < length <= TIMEOUT_MAX_S:
        raise ValueError(f"{TIMEOUT} must be more than nothing and at most 24h")
    return length if marked == "true" else None


def annotations(body: str) -> Mapping[str, str]:
    """The annotations in the stored text of a resource."""
    found: Mapping[str, str] = json.loads(body).get("annotations", {})
    return found


def judge(seen: Sequence[Seen], now_us: int) -> Judgement:
    """What the tasks say now."""
    passed = sum(_good(item) for item in seen)
    for item in seen:
        if why := _failure(item, now_us):
            return Judgement(Verdict.FAILED, passed, len(seen), item.evaluation.key, why)
    done = passed == len(seen)
    return Judgement(Verdict.PASSED if done else Verdict.WAITING, passed, len(seen))


def _good(item: Seen) -> bool:
    return item.state == TaskState.SUCCEEDED and item.denied is None


def _failure(item: Seen, now_us: int) -> str:
    """Why a task speaks against its revision; empty when it does not."""
    if item.denied is not None:
        return f"was denied a call of {item.denied} (task {item.evaluation.task})"
    if item.state in _FINISHED and item.state != TaskState.SUCCEEDED:
        why = f": {item.error}" if item.error else ""
        return f"is {item.state} (task {item.evaluation.task}){why}"
    if item.state not in _FINISHED and now_us >= item.evaluation.deadline_us:
        return f"was still {item.state} when its time ran out (task {item.evaluation.task})"
    return ""
