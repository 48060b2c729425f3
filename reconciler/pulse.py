"""Whether the loop still turns: somebody rings, and it must have answered within a minute.

A loop that has nothing to do sleeps for long, so that silence alone says nothing.
"""

from collections.abc import Callable
from typing import Final

ANSWERS_WITHIN_US: Final = 60_000_000


class Pulse:
    """`ring` wakes the loop; every turn of the loop calls `beat`. Used from many threads."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._rung_at_us: int | None = None

    def beat(self) -> None:
        """The loop turns."""
        self._rung_at_us = None

    def lively(self, now_us: int) -> bool:
        """Whether the loop owes no answer for too long; rings, for whoever asks next."""
        rung_at_us = self._rung_at_us
        if rung_at_us is None:
            self._rung_at_us = now_us
        self._ring()
        return rung_at_us is None or now_us - rung_at_us < ANSWERS_WITHIN_US
