"""Two runs side by side: what got better or worse, and whether that is more than luck. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.evaluation import record, significance
from reconciler.evaluation.record import Result, Summary


class Change(StrEnum):
    """What became of a sample."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    NEW = "new"
    """Only the second run has it."""
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A sample in both runs: how many of how many passed. A side that lacks it is None."""

    sample: str
    before: tuple[int, int] | None
    after: tuple[int, int] | None
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs. `p_value` is that of the sign test over the samples that both have."""

    samples: tuple[Compared, ...]
    before: Summary
    after: Summary
    p_value: float

    @property
    def drop(self) -> float:
        """How much of the pass rate over the samples that both have was lost; never below 0."""
        both = [
            (one.before, one.after)
            for one in self.samples
            if one.before is not None and one.after is not None
        ]
        if not both:
            return 0.0
        lost = sum(before[0] / before[1] - after[0] / after[1] for before, after in both)
        return max(0.0, lost / len(both))

    def count(self, change: Change) -> int:
        """How many samples changed so."""
        return sum(one.change is change for one in self.samples)


def compare(before: Sequence[Result], after: Sequence[Result]) -> Comparison:
    """Compare two runs, sample by sample; what errored did not pass."""
    old, new = _counts(before), _counts(after)
    samples = tuple(
        Compared(
            sample=name,
            before=old.get(name),
            after=new.get(name),
            change=_change(old.get(name), new.get(name)),
        )
        for name in sorted(old.keys() | new.keys())
    )
    better = sum(one.change is Change.BETTER for one in samples)
    worse = sum(one.change is Change.WORSE for one in samples)
    return Comparison(
        samples=samples,
        before=record.summary(before),
        after=record.summary(after),
        p_value=significance.sign_test(better, worse),
    )


def _counts(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    found: defaultdict[str, list[bool]] = defaultdict(list)
    for one in results:
        found[one.sample].append(one.passed is True)
    return {name: (sum(passed), len(passed)) for name, passed in found.items()}


def _change(before: tuple[int, int] | None, after: tuple[int, int] | None) -> Change:
    if before is None:
        return Change.NEW
    if after is None:
        return Change.GONE
    # Multiplied out: runs may have asked another number of times.
    was, now = before[0] * after[1], after[0] * before[1]
    if was == now:
        return Change.SAME
    return Change.BETTER if now > was else Change.WORSE
