"""Checks of the log itself: whole, started and stopped in order, published, kept. Pure.

That the entries are those of the signed checkpoint is not seen here: `verify.py` computes it
from the bundle, and needs nobody's word. These checks say what the entries say of themselves.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.evidence.observation import (
    SEQS_MAX,
    STATED_MAX,
    Observation,
    Period,
    Tally,
    Watch,
)
from runner.contract.audit_entry import CLOSING

Fields = dict[str, Any]

_DAY_US: Final = 86_400_000_000
_CLOSING: Final = frozenset(kind.value for kind in CLOSING)


class LogWhole(Watch):
    """Entries follow each other by number, are of one log, and each task's are all there."""

    types: frozenset[str] | None = None  # Every entry.

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._first: int | None = None
        self._last: int | None = None
        self._log: Any = None
        self._time = 0
        self._tasks: dict[str, int] = {}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        if self._last is not None and seq != self._last + 1:
            self._tally.exception(seq, f"entry {self._last} is followed by {seq}")
        self._first, self._last = self._first or seq, seq
        log = fields.get("log")
        if log is not None and self._log not in (None, log):
            self._tally.exception(seq, "the entry is of another log")
        self._log = log or self._log
        self._of_task(seq, fields)

    def _of_task(self, seq: int, fields: Fields) -> None:
        task, number = fields.get("task"), fields.get("task_seq")
        if not isinstance(task, str) or not isinstance(number, int):
            return
        before = self._tasks.get(task)
        if before is not None and number != before + 1:
            self._tally.exception(seq, f"entries {before + 1} to {number - 1} of a task lack")
        if fields.get("type") not in _CLOSING:
            # Past the bound a task is not followed: its entries are in the sequence anyway.
            if before is not None or len(self._tasks) < STATED_MAX:
                self._tasks[task] = number
            return
        self._tasks.pop(task, None)
        if fields.get("entries") != number:
            self._tally.exception(seq, "a task ended with another count of entries")

    def end(self, period: Period) -> Observation:
        """What was seen; the period must begin and end as it says."""
        if self._last is not None:
            if (self._first, self._last) != (period.first, period.last):
                what = f"entries {self._first} to {self._last} are there"
                what += f", {period.first} to {period.last} were to be"
                self._tally.exception(self._last, what)
            if self._log not in (None, period.log):
                self._tally.exception(self._last, "the entries are of another log")
        return self._tally.observation()


class StoppedInOrder(Watch):
    """Every start of the log's writer is recorded, and so is the stop before it."""

    types = frozenset({"log.started", "log.stopped"})

    def __init__(self, parameter: int = 0) -> None:
        super().__init__(parameter)
        self._running: dict[str, int] = {}

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        actor = str(fields.get("actor"))
        if fields["type"] == "log.stopped":
            self._running.pop(actor, None)
            return
        if actor in self._running:
            self._tally.exception(seq, "a writer started again and had not been stopped")
        if self._tally.room(len(self._running)):
            self._running[actor] = seq


class PublishedWithoutFailure(Watch):
    """Checkpoints were published in the period, and none failed to be."""

    types = frozenset({"log.publish_failed"})

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.exception(seq, "a checkpoint could not be published")

    def end(self, period: Period) -> Observation:
        """What the entries can say: failures. That there was no attempt is no evidence."""
        return self._tally.observation()


def published(failures: Observation, sizes: Sequence[int]) -> Observation:
    """The same with the sizes of the checkpoints that were published in the period."""
    return replace(failures, population=len(sizes), seqs=tuple(sizes[:SEQS_MAX]))


class KeptFor(Watch):
    """The log still has its entries of so many days back, or all since its beginning."""

    types: frozenset[str] | None = None

    def __init__(self, parameter: int) -> None:
        self._days = parameter
        self._tally = Tally()
        self._first: tuple[int, int] | None = None

    def take(self, seq: int, fields: Fields) -> None:
        """Look at the next entry."""
        self._tally.member(seq)
        if self._first is None:
            self._first = (seq, fields["time"])

    def end(self, period: Period) -> Observation:
        """What was seen; a period that is shorter says nothing of older entries."""
        if self._first is not None and self._first[0] != 1:
            days = (period.until_us - self._first[1]) / _DAY_US
            if days < self._days:
                self._tally.untold = (
                    f"the entries of this export go back {days:.1f} days, not {self._days}:"
                    " export a longer period"
                )
        return self._tally.observation()
