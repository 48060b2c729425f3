"""How claims end: the state that a task goes to, and the entry about it."""

import random
from typing import Any

from runner import retry
from runner.agent import Step
from runner.claim import Ending, Held, entry
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.task_state import TaskState

Message = dict[str, Any]

_random = random.SystemRandom()


def interrupted(call: Step, reason: str, attempt: int, crashes: int) -> Ending:
    """The end of a claim during a call that may not be repeated: a person decides."""
    return Ending(
        state=TaskState.UNKNOWN_OUTCOME.value,
        error=f"{reason} during the call of {call.name} (step {call.number}), "
        "which is not declared idempotent: whether it happened is unknown",
        attempt=attempt,
        crashes=crashes,
        outcome="interrupted",
    )


def ended(held: Held, how: Ending) -> Entry:
    """The entry about it."""
    error = (("error", how.error),) if how.error else ()
    kind = EntryType.TASK_FINISHED if how.finished else EntryType.TASK_RELEASED
    return entry(kind, held, outcome=how.state, private=error)


def ending(held: Held, message: Message, now_us: int) -> Ending:
    """The end that a worker reports: done, failed, or to be tried again if it may be."""
    if message["outcome"] == "succeeded":
        return Ending(
            state=TaskState.SUCCEEDED.value,
            output=message["output"],
            finished=True,
            outcome="succeeded",
        )
    error = message["error"]
    if message["outcome"] == "failed":
        return Ending(
            state=TaskState.FAILED.value, error=error, finished=True, outcome="failed"
        )
    assert message["outcome"] == "retry"
    run_at = retry.next_try(
        held.attempt,
        retry.policy(held.retry),
        now_us,
        _random.random(),
        message.get("retry_after_s"),
    )
    if run_at is None:
        return Ending(state=TaskState.DEAD.value, error=error, finished=True, outcome="failed")
    return Ending(
        state=TaskState.BACKING_OFF.value, error=error, run_at=run_at, outcome="failed"
    )
