"""When to publish. Pure.

    urgent and new ── at once, but a thirtieth of the interval after the last
    new            ── when the interval is over
    nothing new    ── when the heart beats
    failed         ── later and later, up to a quarter of an hour

Under load every second brings the end of a task: without the distance each would be a push.
"""

from dataclasses import dataclass
from typing import Final

APART: Final = 30
"""What is urgent waits for at most this part of the interval: 10 s of the 300 by default."""
PAUSE_FIRST_US: Final = 1_000_000
PAUSE_MAX_US: Final = 900_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Where signing and publishing stand; times are microseconds of one clock."""

    signed: int
    published: int
    published_at: int | None
    urgent: bool
    retry_at: int | None = None


def due_us(facts: Facts, interval_us: int, heartbeat_us: int) -> int | None:
    """When to publish next; None while there is nothing that could be."""
    if not facts.signed:
        return None
    if facts.retry_at is not None:
        return facts.retry_at
    if facts.published_at is None:
        return 0
    if facts.signed <= facts.published:
        return facts.published_at + heartbeat_us
    return facts.published_at + (interval_us // APART if facts.urgent else interval_us)


def pause_us(failures: int) -> int:
    """How long to wait after so many failures in a row."""
    return int(min(PAUSE_MAX_US, PAUSE_FIRST_US * 2 ** min(failures - 1, 30)))
