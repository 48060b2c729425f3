"""Something that happened to a repository or a resource, as a value. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class EventSeverity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. `reason` is a stable name, `message` a sentence."""

    source: str
    severity: EventSeverity
    reason: str
    message: str
    commit: str | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it is kept: `count` times from `first_at` to `last_at`, microseconds UTC."""

    id: int
    event: Event
    count: int
    first_at: int
    last_at: int
