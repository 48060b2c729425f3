"""Where a task can be. Pure.

pending ──claim──> leased ──> succeeded | failed | dead
   ^                 │
   │                 ├──> backing_off ──(run_at)──> pending
   ├──lease lost─────┤
   │                 └──> unknown_outcome
   └──resolve (a person says whether the call ran)──┘

any of these but succeeded, failed, dead ──cancel──> cancelled
dead | failed ──drop──> dropped
failed | dead | cancelled | dropped ──retry──> pending, or unknown_outcome if a call is open
"""

from enum import StrEnum


class TaskState(StrEnum):
    """The state of a task."""

    PENDING = "pending"
    """Waits for a worker."""
    LEASED = "leased"
    """A worker holds it and runs it."""
    BACKING_OFF = "backing_off"
    """Failed in a way that may pass; waits until `run_at`. Holds no worker."""
    WAITING_APPROVAL = "waiting_approval"
    """A person must say yes. Holds no worker."""
    WAITING_TOKENS = "waiting_tokens"
    """Its budget for this minute is spent. Holds no worker."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """A call that may not be repeated began and was not seen to end; a person decides."""
    SUCCEEDED = "succeeded"
    """Done."""
    FAILED = "failed"
    """Ended by an error that trying again cannot mend."""
    DEAD = "dead"
    """Out of attempts, or it took its workers down: a dead letter."""
    CANCELLED = "cancelled"
    """A person stopped it."""
    DROPPED = "dropped"
    """A dead letter that a person put away; everything of it is kept."""


FINISHED = frozenset(
    {
        TaskState.SUCCEEDED,
        TaskState.FAILED,
        TaskState.DEAD,
        TaskState.CANCELLED,
        TaskState.DROPPED,
    }
)
