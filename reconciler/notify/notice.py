"""A notification as it waits in the outbox. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.event.events import Event


class Status(StrEnum):
    """What a Git host shows beside a commit."""

    PENDING = "pending"
    """It waits: for a person, or for a window."""
    SUCCESS = "success"
    """It is applied."""
    FAILURE = "failure"
    """It is not applied as it is, or was taken back."""


class NoticeState(StrEnum):
    """What became of a notification."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    """Given up."""
    OVERTAKEN = "overtaken"
    """A newer status of the commit went in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a target is told. `attempts` counts those that were begun; times are UTC."""

    id: str
    target: str
    event: Event
    status: Status | None
    happened_at: int
    state: NoticeState = NoticeState.WAITING
    attempts: int = 0
    due_at: int = 0
    error: str | None = None
