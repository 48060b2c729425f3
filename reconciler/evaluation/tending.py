"""The daemon's part in evaluations: drive what was applied, or left by whoever began it."""

import logging
from typing import Final

from reconciler.evaluation import driving, rows
from reconciler.evaluation.beginning import Pin
from reconciler.evaluation.record import RunState
from reconciler.in_flight import Cancel
from runner.contract import clock, errors, telemetry
from runner.contract.database import Database

LOOK_AGAIN_S: Final = 0.5
"""How often runs that are open are looked at."""
AFTER_TROUBLE_S: Final = 5.0
IDLE_S: Final = 10.0
"""How soon a run is found that its command left behind when it was killed."""


class Evaluations:
    """The open runs of a database. Call `tend` whenever the daemon wakes."""

    def __init__(self, database: Database, pin: Pin, cancel: Cancel) -> None:
        self._database = database
        self._pin = pin
        self._cancel = cancel
        self.wait_s = IDLE_S
        """When to call again at the latest."""

    def tend(self) -> None:
        """Take every open run as far as it goes now."""
        try:
            for run in driving.drive(self._database, self._pin, self._cancel, clock.now_us()):
                telemetry.log(
                    "eval_finished",
                    "An evaluation is over.",
                    level=logging.INFO if run.state is RunState.PASSED else logging.WARNING,
                    run=run.id,
                    evalrun=str(run.key),
                    state=run.state.value,
                    reason=run.message,
                )
            with self._database.read() as connection:
                waits = [run for run in rows.unfinished(connection) if _moves(run.state)]
            self.wait_s = LOOK_AGAIN_S if waits else IDLE_S
        except errors.OrlojError as error:
            telemetry.log("eval_failed", str(error), level=logging.WARNING)
            self.wait_s = AFTER_TROUBLE_S
        except Exception:  # noqa: BLE001  # The boundary: record, wait, go on.
            telemetry.log_exception("eval_failed", "Evaluations met an unforeseen error.")
            self.wait_s = AFTER_TROUBLE_S


def _moves(state: RunState) -> bool:
    """Whether something comes of a run without a person."""
    return state is not RunState.REVIEW
