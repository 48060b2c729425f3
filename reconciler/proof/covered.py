"""How much of the log is signed and published, and what is still open. Pure.

Open is what no published checkpoint covers: until then whoever holds the database and the
key could write it anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint, and when it was signed or published; microseconds, UTC."""

    size: int
    at: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in the way of signing or publishing, since when."""

    part: str
    reason: str
    message: str
    since_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Where the log stands. `oldest_open_at` is the time of the first entry that is open."""

    entries: int
    now_us: int
    signed: Head | None = None
    published: Head | None = None
    remote: str | None = None
    """Where checkpoints go, without any password; None: nowhere."""
    oldest_open_at: int | None = None
    troubles: Sequence[Standing] = ()

    @property
    def open_entries(self) -> int:
        """Entries that no published checkpoint covers."""
        return max(0, self.entries - (self.published.size if self.published else 0))

    @property
    def open_s(self) -> float:
        """How long the oldest of them has been open."""
        if not self.open_entries or self.oldest_open_at is None:
            return 0.0
        return max(0, self.now_us - self.oldest_open_at) / _SECOND_US
