"""A run and its answers as they are kept, and what they add up to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

from reconciler.evaluation import significance
from runner.contract.kinds import EvalDataset, EvalRun, Key


class RunState(StrEnum):
    """How far a run is."""

    PENDING = "pending"
    """Applied; its questions are not asked yet."""
    RUNNING = "running"
    REVIEW = "review"
    """Some answers wait for a person's grade."""
    PASSED = "passed"
    FAILED = "failed"
    """Fewer answers were right than pass_threshold asks for."""
    CANCELLED = "cancelled"
    BROKEN = "broken"
    """It could not be begun; its message says why."""


class ResultState(StrEnum):
    """How far one answer is."""

    WAITING = "waiting"
    """Not asked yet: no more are asked at once than `concurrency`."""
    ASKED = "asked"
    JUDGING = "judging"
    REVIEW = "review"
    SCORED = "scored"
    ERRORED = "errored"
    """There is no answer, or no score for it. It counts as not passed."""


OPEN: Final = frozenset({RunState.PENDING, RunState.RUNNING, RunState.REVIEW})
CLOSED: Final = frozenset({ResultState.SCORED, ResultState.ERRORED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run. `commit` is the one whose manifests answered; `closing`: tasks may be left."""

    id: int
    key: Key
    commit: str
    actor: str
    spec: EvalRun
    dataset: EvalDataset
    state: RunState
    message: str
    closing: bool
    created_at: int
    finished_at: int | None

    @property
    def open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One answer. `score` is in thousandths; `scorer` is `expected`, `judge` or a person."""

    sample: str
    repetition: int
    state: ResultState
    manifest_set: str = ""
    judge_set: str | None = None
    task: str | None = None
    judge_task: str | None = None
    passed: bool | None = None
    score: int | None = None
    reason: str = ""
    scorer: str = ""
    tokens: int = 0
    judge_tokens: int = 0
    duration_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the answers of a run add up to. Of those that errored, none passed."""

    of: int
    closed: int
    passed: int
    errored: int
    tokens: int
    judge_tokens: int
    score: float | None
    tokens_median: float | None
    duration_us_median: float | None

    @property
    def rate(self) -> float:
        """The share that passed, of all that were asked for."""
        return self.passed / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Between what the rate lies, with 95 % confidence."""
        return significance.wilson(self.passed, self.of)


def summary(results: Sequence[Result]) -> Summary:
    """The sums and medians of a run."""
    closed = [one for one in results if one.state in CLOSED]
    scores = [one.score for one in closed if one.score is not None]
    durations = [one.duration_us for one in closed if one.duration_us is not None]
    return Summary(
        of=len(results),
        closed=len(closed),
        passed=sum(one.passed is True for one in closed),
        errored=sum(one.state is ResultState.ERRORED for one in closed),
        tokens=sum(one.tokens for one in results),
        judge_tokens=sum(one.judge_tokens for one in results),
        score=sum(scores) / len(scores) / 1_000 if scores else None,
        tokens_median=float(median(one.tokens for one in closed)) if closed else None,
        duration_us_median=float(median(durations)) if durations else None,
    )


def outcome(run: EvalRun, found: Summary) -> RunState:
    """Whether enough of the answers are right."""
    # Counted, not divided: a third of three thirds is a third.
    enough = found.passed >= run.pass_threshold * found.of - 1e-9
    return RunState.PASSED if enough else RunState.FAILED
