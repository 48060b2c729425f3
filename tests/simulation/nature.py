"""What a world cannot choose: chance, time, and how the database fares. One seed makes it.

Nothing in a world reads a real clock or draws from another source of chance, so that a seed
tells the same story every time.
"""

import random
from typing import Any, Final

from stage import Stage

SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
LEASE_US: Final = 30 * SECOND
EPOCH_US: Final = 1_700_000_000 * SECOND


class WriteFailed(Exception):
    """A transaction did not come about, and its dispatcher knows it."""


class OutcomeUnknown(Exception):
    """The connection was lost at the commit: it stands, or it does not."""


class Nature:
    """Chance and time. `true_us` is the time that no clock shows."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.chance = random.Random(seed)
        self.true_us = EPOCH_US
        self.calm = False
        self.shared = self.chance.random() < 0.6
        """Whether several hosts share the database, and leases are on its server's clock."""
        self.server_ran_ahead = False
        self._server_skew_us = self.chance.randrange(-5 * SECOND, 5 * SECOND)
        self.story: list[tuple[int, str, tuple[Any, ...]]] = []

    def tell(self, what: str, *who: Any) -> None:
        """Go on with the story."""
        self.story.append((self.true_us, what, who))

    @property
    def server_us(self) -> int:
        """The clock of the database server."""
        return self.true_us + self._server_skew_us

    def set_server(self, by_us: int) -> None:
        """Somebody sets the clock of the database server."""
        self.tell("the server's clock is set", by_us / SECOND)
        self.server_ran_ahead |= by_us > 0
        self._server_skew_us += by_us

    def happens(self, likely: float) -> bool:
        """Whether a misfortune comes about; none does when it is calm."""
        return not self.calm and self.chance.random() < likely

    def slow(self) -> None:
        """Time passes in the middle of a transaction, now and then a lot of it."""
        if self.happens(0.1):
            self.true_us += self.chance.choice([SECOND, 7 * SECOND, LEASE_US])
            self.tell("the database was slow")

    def fail(self) -> None:
        """A transaction fails now and then."""
        if self.happens(0.05):
            self.tell("the write failed")
            raise WriteFailed

    def lost_answer(self) -> str | None:
        """What became of a commit whose answer is lost; None when it is not."""
        if not self.happens(0.06):
            return None
        self.tell("the answer to a commit was lost")
        return self.chance.choice(["stands", "rolled back"])
