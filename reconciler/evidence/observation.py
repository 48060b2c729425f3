"""What was seen of one thing while the entries of a period went by: counts and examples. Pure.

A population may have millions of members, so it is a count with the numbers of the first
entries; every exception is counted, and the first of them are told.
"""

from dataclasses import dataclass, field
from typing import Final

SEQS_MAX: Final = 100
EXCEPTIONS_MAX: Final = 100
STATED_MAX: Final = 100_000
"""How many calls, tasks and people a check remembers at once; past that it can say nothing."""


@dataclass(frozen=True, slots=True)
class Period:
    """The entries that are looked at, `until_us` outside; `last` is `first` - 1 for none."""

    log: str
    since_us: int
    until_us: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Remark:
    """An exception: the entry it shows in, and what is the matter."""

    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a watch. `untold` says why the question cannot be answered from these."""

    population: int
    seqs: tuple[int, ...] = ()
    exceptions: tuple[Remark, ...] = ()
    exceptions_count: int = 0
    untold: str | None = None


@dataclass(slots=True)
class Tally:
    """An observation in the making."""

    population: int = 0
    exceptions_count: int = 0
    untold: str | None = None
    _seqs: list[int] = field(default_factory=list)
    _exceptions: list[Remark] = field(default_factory=list)

    def member(self, seq: int) -> None:
        """Another member of the population."""
        self.population += 1
        if len(self._seqs) < SEQS_MAX:
            self._seqs.append(seq)

    def exception(self, seq: int, what: str) -> None:
        """Another exception."""
        self.exceptions_count += 1
        if len(self._exceptions) < EXCEPTIONS_MAX:
            self._exceptions.append(Remark(seq, what))

    def room(self, remembered: int) -> bool:
        """Whether one thing more may be remembered; else the check can no longer answer."""
        if remembered < STATED_MAX:
            return True
        self.untold = f"more than {STATED_MAX} things were under way at once"
        return False

    def observation(self) -> Observation:
        """What came of it."""
        return Observation(
            population=self.population,
            seqs=tuple(self._seqs),
            exceptions=tuple(self._exceptions),
            exceptions_count=self.exceptions_count,
            untold=self.untold,
        )


class Watch:
    """What most checks are: a tally that grows while entries go by, and what came of it.

    `parameter` is the number that a mapping gives to a check that takes one.
    """

    def __init__(self, parameter: int = 0) -> None:
        self._tally = Tally()

    def end(self, period: Period) -> Observation:
        """What was seen."""
        return self._tally.observation()
