"""When to try again, if ever. Pure: `now` and the draw of chance are arguments.

The ceiling of a wait grows as `backoff * 2^(attempt-1)` up to `max_backoff`. Jitter picks
below it: `none` takes the ceiling, `full` anything from zero, `equal` the upper half,
`decorrelated` anything from `backoff` to three times the last ceiling.
Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from dataclasses import dataclass
from typing import Any, Final

from runner.contract.kinds.base import seconds
from runner.contract.kinds.task import TaskRetry

WAIT_MAX_S: Final = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """A retry policy in numbers."""

    attempts_max: int = 1
    backoff_s: float = 0.0
    backoff_max_s: float = 300.0
    jitter: str = "full"


def policy(written: dict[str, Any]) -> Policy:
    """The policy that a Task manifest's `retry` means; {} is one attempt.

    No wait is longer than a year, so that every time of a next try can be stored.
    """
    spec = TaskRetry.model_validate(written)
    return Policy(
        spec.max_attempts,
        min(seconds(spec.backoff), WAIT_MAX_S),
        min(seconds(spec.max_backoff), WAIT_MAX_S),
        spec.jitter,
    )


def wait_s(attempt: int, policy: Policy, draw: float) -> float:
    """Seconds to wait after the attempt of this number (from 1); `draw` is in [0, 1)."""
    assert attempt >= 1
    assert 0.0 <= draw < 1.0
    ceiling = min(policy.backoff_max_s, policy.backoff_s * 2.0 ** min(attempt - 1, 60))
    match policy.jitter:
        case "none":
            return ceiling
        case "equal":
            return ceiling / 2 + ceiling / 2 * draw
        case "decorrelated":
            high = min(policy.backoff_max_s, ceiling * 1.5)
            low = min(policy.backoff_s, high)
            return low + (high - low) * draw
    return ceiling * draw


def next_try(
    attempt: int, policy: Policy, now_us: int, draw: float, retry_after_s: float | None = None
) -> int | None:
    """The wall time of the next try; None when this attempt was the last.

    What the other side asked for (`Retry-After`) is a lower bound, itself bounded by an hour.
    """
    if attempt >= policy.attempts_max:
        return None
    wait = max(wait_s(attempt, policy, draw), min(retry_after_s or 0.0, 3_600.0))
    return now_us + int(wait * 1_000_000)
