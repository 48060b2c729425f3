"""What people are told about tasks: values without a database behind them. Pure.

Times are microseconds since 1970, UTC. `state` is the word people read: a task that a
worker holds (`leased` in its row) is `running`.
"""

from dataclasses import dataclass
from typing import Any, Final

from runner.contract.task_state import FINISHED, TaskState

RUNNING: Final = "running"
STATES: Final = tuple(
    RUNNING if state is TaskState.LEASED else state.value for state in TaskState
)
WAITS_FOR_TIME: Final = frozenset(
    {
        TaskState.BACKING_OFF.value,
        TaskState.WAITING_APPROVAL.value,
        TaskState.WAITING_TOKENS.value,
    }
)
WAITS_FOR_PERSON: Final = frozenset(
    {TaskState.WAITING_APPROVAL.value, TaskState.UNKNOWN_OUTCOME.value}
)
_FINISHED: Final = frozenset(state.value for state in FINISHED)


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One claim of a task. `outcome` is None while it lasts."""

    fence: int
    worker: str
    started_at: int
    ended_at: int | None
    outcome: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class VisitRecord:
    """One turn of one agent of a system. `ended_at` is None while it works.

    `state` is running, done, failed, or stopped: it ran when its task ended.
    """

    number: int
    agent: str
    sources: tuple[int, ...]
    phase: str
    state: str
    error: str | None
    attempt: int
    started_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One model or tool call. `request` and `result` are JSON values; result may be None."""

    task: str
    number: int
    agent: str
    kind: str
    name: str
    phase: str
    request: Any
    result: Any
    fence: int
    tokens_in: int
    tokens_out: int
    started_at: int
    finished_at: int | None


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task. `subject` is `kind/namespace/name`, `task_name` the Task it came from."""

    id: str
    subject: str
    task_name: str | None
    state: str
    attempt: int
    commit: str | None
    manifest_set: str | None
    input: dict[str, str]
    output: str | None
    error: str | None
    actor: str
    tokens_in: int
    tokens_out: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    waits_until: int | None = None
    """When a task that waits looks again by itself; `error` says what for."""

    @property
    def finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in _FINISHED

    @property
    def waits_for_person(self) -> bool:
        """Whether nothing will happen until a person decides."""
        return self.state in WAITS_FOR_PERSON


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A task that another one's step queued; `task` is the other end, `depth` the child's."""

    task: str
    step: int
    depth: int
    task_name: str | None
    state: str


@dataclass(frozen=True, slots=True)
class TaskAccount:
    """A task with everything that happened to it. `parent` is the task that queued it."""

    task: TaskRecord
    attempts: tuple[AttemptRecord, ...]
    steps: tuple[StepRecord, ...]
    parent: ChildRecord | None = None
    children: tuple[ChildRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person's decision did to a task; `step` and `call` name the call it was about."""

    id: str
    was: str
    state: str
    step: int | None = None
    call: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker process and how many of its slots are busy."""

    id: str
    host: str
    pid: int
    state: str
    slots: int
    busy: int
    started_at: int
    seen_at: int


def shown_state(stored: str) -> str:
    """The word people read for a state as it is stored."""
    return RUNNING if stored == TaskState.LEASED.value else stored


def stored_state(shown: str) -> str:
    """The state as it is stored for the word people read."""
    return TaskState.LEASED.value if shown == RUNNING else shown
