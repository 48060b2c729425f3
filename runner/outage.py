"""How long the database is away, and when to try it again.

there ──failed──> away ──failed──> away (longer pauses) ──written──> there
"""

import logging
import random
from typing import Final

from runner.contract import clock
from runner.contract.telemetry import log

AGAIN_MIN_S: Final = 0.1
AGAIN_MAX_S: Final = 5.0


class Outage:
    """What the dispatcher knows of its database; says once that it is away, and once back."""

    def __init__(self) -> None:
        self._since_us: int | None = None
        self._tries = 0

    @property
    def lasts(self) -> bool:
        """Whether the database is away."""
        return self._since_us is not None

    def began(self, reason: str) -> None:
        """Note that the database gives no answer."""
        if self._since_us is None:
            self._since_us = clock.boot_us()
            log(
                "database_waiting",
                "Tasks wait for the database.",
                level=logging.WARNING,
                reason=reason,
            )

    def failed(self, reason: str) -> float:
        """Note a failure; how many seconds to wait, never in step with other hosts."""
        self.began(reason)
        pause_s = min(AGAIN_MAX_S, AGAIN_MIN_S * (1 << min(self._tries, 10)))
        self._tries += 1
        return pause_s * random.uniform(0.5, 1)  # noqa: S311 - spread, not secret.

    def over(self) -> None:
        """Note that the database was written."""
        if self._since_us is not None:
            away_s = (clock.boot_us() - self._since_us) / 1_000_000
            log("database_back", "Tasks go on.", after_s=round(away_s, 3))
        self._since_us = None
        self._tries = 0
