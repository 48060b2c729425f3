"""A thread beside the dispatcher that looks at the world now and then, and in nobody's way.

What it needs of the environment is what agents get: that of the runner. A look that fails is
made again at the next interval.
"""

import asyncio
from typing import Final

from runner.background import Background
from runner.contract import clock
from runner.contract.database import Database
from runner.contract.errors import DatabaseUnavailable
from runner.contract.settings import Settings
from runner.contract.telemetry import log_exception
from runner.world import looking
from runner.world.here import Here

LET_GO_S: Final = 1.0


class Observer:
    """The eye of one runner."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._here = Here(settings)
        self._thread = Background("orloj-observer")

    async def run(self) -> None:
        """Look at every interval, until cancelled."""
        while self._settings.runner.observe != "nothing":
            try:
                await self._thread.run(self._look)
            except DatabaseUnavailable:
                pass  # The dispatcher says so; the next look is ours.
            except Exception:  # noqa: BLE001 - what cannot be seen must not end the runner.
                log_exception("world_failed", "A look at the world met an unforeseen error.")
            await asyncio.sleep(self._settings.runner.observe_interval_s)

    def close(self) -> bool:
        """Whether its thread let go of the database."""
        return self._thread.close(LET_GO_S)

    def _look(self) -> None:
        looking.look(
            self._database,
            self._settings,
            clock.now_us(),
            connect=self._settings.runner.observe == "network",
            here=self._here,
        )
