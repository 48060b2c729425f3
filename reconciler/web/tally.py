"""How many deliveries each webhook refused: counted at once, written down not too often.

Strangers must not make the database write as often as they like. What is counted and not yet
written is written within `LATER_S`, and at the end; a daemon that is killed loses it.
"""

import threading
from typing import Final

from reconciler.delivery import rows as delivery_rows
from reconciler.delivery.rows import Standing
from reconciler.web.rate import Rate
from runner.contract import clock, errors
from runner.contract.database import Database
from runner.contract.kinds import Key

LATER_S: Final = 5.0
WRITTEN_MOST: Final = 20.0
_WRITTEN_A_SECOND: Final = 1 / LATER_S


class Tally:
    """The refusals that are not written down yet. Called from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._rate = Rate(WRITTEN_MOST, _WRITTEN_A_SECOND)
        self._waiting: dict[Key, Standing] = {}
        self._timer: threading.Timer | None = None

    def refused(self, key: Key, why: str, problem: str | None) -> None:
        """Count a refusal, and why; `problem` is what would refuse any delivery."""
        with self._lock:
            before = self._waiting.get(key, Standing())
            self._waiting[key] = Standing(
                refused=before.refused + 1,
                refused_at=clock.now_us(),
                refusal=why,
                problem=problem or before.problem,
            )
            at_once = self._rate.take("", clock.boot_us())
            if not at_once:
                self._set_timer()
        if at_once:
            self.write()

    def write(self) -> None:
        """Write down what is counted; what cannot be written is counted on."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            with self._database.write() as connection:
                for key in sorted(waiting):  # In one order, so that two writers never meet.
                    delivery_rows.note(connection, key, waiting[key])
        except errors.DatabaseUnavailable:
            with self._lock:
                for key, one in waiting.items():
                    self._waiting[key] = _together(one, self._waiting.get(key))
                self._set_timer()

    def stop(self) -> None:
        """Write down the rest."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        self.write()

    def _set_timer(self) -> None:
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(LATER_S, self.write)
            self._timer.daemon = True
            self._timer.start()


def _together(first: Standing, then: Standing | None) -> Standing:
    if then is None:
        return first
    return Standing(
        refused=first.refused + then.refused,
        refused_at=then.refused_at,
        refusal=then.refusal,
        problem=then.problem or first.problem,
    )
