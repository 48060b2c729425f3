"""Whether the log tells all of every task, and all of the time.

The entries of a task are numbered, and the entry that ends it says how many there are. So a
number that is missing shows, and so does one that comes twice. A log that was started and
not stopped before the next start of the same writer ended without a word.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.evidence.population.spool import Spool

_KIND: Final = "task"
_HOT_MAX: Final = 20_000
"""Tasks that are held in memory before they are laid aside."""
_CLOSING: Final = ("task.finished", "task.cancelled")
FAULTS_MAX: Final = 1_000
GAPS_MAX: Final = 1_000


@dataclass(slots=True)
class Fault:
    """A task whose entries are not all there, and the first entry that shows it."""

    task: str
    seq: int
    what: str


@dataclass(slots=True)
class Gap:
    """A writer that started, and did not stop before it started again."""

    writer: str
    started: int
    again: int


@dataclass(slots=True)
class Quiet:
    """The longest time without an entry, and the entries around it."""

    length_us: int = 0
    after: int = 0
    before: int = 0


@dataclass(slots=True)
class Coverage:
    """Follows the numbers of every task, and the starts and stops of every writer."""

    spool: Spool
    entries: int = 0
    tasks: int = 0
    closed: int = 0
    earlier: int = 0
    """Tasks whose first entries lie before the period."""
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    gaps: list[Gap] = field(default_factory=list)
    gap_count: int = 0
    starts: int = 0
    stops: int = 0
    quiet: Quiet = field(default_factory=Quiet)
    _hot: dict[str, list[int]] = field(default_factory=dict)  # First, last, closed.
    _writers: dict[str, int] = field(default_factory=dict)
    _last: tuple[int, int] | None = None

    def take(self, fields: dict[str, Any]) -> bool:
        """Look at an entry; whether all entries of its task so far lie in the period."""
        self.entries += 1
        self._clock(fields)
        self._writer(fields)
        task, number = fields.get("task"), fields.get("task_seq")
        if task is None or not isinstance(number, int):
            return False
        known = self._known(task)
        if known is None:
            known = self._hot[task] = [number, number - 1, 0]
            self.tasks += 1
            self.earlier += number != 1
        if number != known[1] + 1:
            what = f"number {number} follows number {known[1]}"
            self._fault(task, fields["seq"], what)
        known[1] = number
        if fields["type"] in _CLOSING:
            self.closed += not known[2]
            known[2] = 1
            if fields.get("entries") != number:
                what = f"it is said to have {fields.get('entries')} entries and has {number}"
                self._fault(task, fields["seq"], what)
        return known[0] == 1

    @property
    def writing(self) -> int:
        """Writers that had started and not stopped when the period ended."""
        return len(self._writers)

    def _known(self, task: str) -> list[int] | None:
        found = self._hot.get(task)
        if found is not None:
            return found
        if len(self._hot) >= _HOT_MAX:
            for id, numbers in self._hot.items():
                self.spool.put(_KIND, id, 0, {"n": numbers})
            self._hot.clear()
        item = self.spool.get(_KIND, task)
        if item is not None:
            found = self._hot[task] = list(item["n"])
        return found

    def _clock(self, fields: dict[str, Any]) -> None:
        now = (fields["seq"], fields["time"])
        if self._last is not None and now[1] - self._last[1] > self.quiet.length_us:
            self.quiet = Quiet(now[1] - self._last[1], self._last[0], now[0])
        self._last = now

    def _writer(self, fields: dict[str, Any]) -> None:
        kind, writer, seq = fields["type"], fields.get("actor", ""), fields["seq"]
        if kind == "log.started":
            self.starts += 1
            if (before := self._writers.get(writer)) is not None:
                self._gap(Gap(writer, before, seq))
            self._writers[writer] = seq
        elif kind == "log.stopped":
            self.stops += 1
            self._writers.pop(writer, None)

    def _gap(self, gap: Gap) -> None:
        self.gap_count += 1
        if len(self.gaps) < GAPS_MAX:
            self.gaps.append(gap)

    def _fault(self, task: str, seq: int, what: str) -> None:
        self.fault_count += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(task, seq, what))
