"""The daemon's part in retention: one slice a turn, an hour's rest when nothing is left.

A slice that cannot be written is tried again after the rest; the log says why.
"""

import logging
from pathlib import Path
from typing import Final

from reconciler.privacy import retention
from runner.contract import clock, errors, telemetry
from runner.contract.database import Database

ACTOR: Final = "daemon"
REST_S: Final = 3_600.0


class Sweeps:
    """Erases what policies say, slice by slice."""

    def __init__(self, database: Database, memories: Path) -> None:
        self._database = database
        self._memories = memories
        self._due_us = 0

    def wait_s(self) -> float:
        """How long until the next slice is due."""
        return max(0.0, (self._due_us - clock.boot_us()) / 1_000_000)

    def step(self) -> None:
        """Erase one slice if it is due; nothing is raised."""
        if clock.boot_us() < self._due_us:
            return
        self._due_us = clock.boot_us() + int(REST_S * 1_000_000)
        try:
            with self._database.read() as connection:
                if not retention.policies(connection):
                    return
            with self._database.write() as connection:
                found = retention.sweep(connection, ACTOR, clock.now_us(), self._memories)
        except errors.OrlojError as error:
            telemetry.log(
                "retention_failed", "Nothing was erased.", level=logging.WARNING,
                problem=str(error),
            )  # fmt: skip
            return
        except Exception:  # noqa: BLE001  # The boundary: record, and try again after the rest.
            telemetry.log_exception(
                "retention_failed", "Retention met an error nobody foresaw."
            )
            return
        if found:
            self._due_us = 0  # There may be more: the next turn takes it.
            telemetry.log(
                "erased",
                "What was past its time was erased.",
                values=sum(one.values for one in found),
                tasks=sum(one.tasks for one in found),
            )
