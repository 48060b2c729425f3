"""End the workers that say nothing for a whole lease: they hang, and hold tasks.

A worker pings three times a lease, so only one that is stopped or stuck is silent for so
long. What counts is when a message arrived, not when it was written to the database.
"""

import contextlib
import os
import signal
from collections.abc import Iterable
from typing import Final

from runner.contract import clock
from runner.contract.telemetry import log
from runner.crew import Worker

START_US: Final = 30_000_000  # A worker that is not up after this long never will be.


class Silence:
    """Judges workers each time it is asked, several times a lease."""

    def __init__(self, lease_us: int) -> None:
        self._lease_us = lease_us
        self._judged_us = clock.boot_us()

    def end(self, workers: Iterable[Worker]) -> list[Worker]:
        """Kill those that were silent for too long, and return them."""
        now_us = clock.boot_us()
        # While we slept ourselves, nobody could be heard.
        slept = now_us - self._judged_us > self._lease_us // 2
        self._judged_us = now_us
        ended = []
        for worker in workers:
            if slept or worker.full:  # It may well have spoken: we did not listen.
                worker.heard_us = max(worker.heard_us, now_us)
            elif now_us - worker.heard_us >= self._patience_us(worker):
                log("worker_killed", "A worker was silent for a whole lease.", worker=worker.id)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
                ended.append(worker)
        return ended

    def _patience_us(self, worker: Worker) -> int:
        return self._lease_us if worker.ready else max(self._lease_us, START_US)
