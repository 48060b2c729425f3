"""How often something is put back that keeps drifting. Pure.

    heals   1    2     3     4      5      6 ...
    pause   2 s  6 s   18 s  54 s   162 s  300 s

Two that fight over a row would otherwise fill the log with it. A new commit begins anew. The
count is kept in memory and not in the database, where whoever edits the rows could reach it.
"""

from collections.abc import Iterable
from typing import Final

FIRST_S: Final = 2.0
FACTOR: Final = 3
PAUSE_MAX_S: Final = 300.0
FIGHTING: Final = 3
"""From so many heals on under one commit, somebody is told."""
SUBJECTS_MAX: Final = 10_000
_SECOND_US: Final = 1_000_000


def pause_s(heals: int) -> float:
    """How long to leave something alone that was put back so many times."""
    return min(FIRST_S * float(FACTOR ** min(heals - 1, 20)), PAUSE_MAX_S)


class Pace:
    """Counts heals by subject, under one commit at a time."""

    def __init__(self) -> None:
        self._commit = ""
        self._heals: dict[str, tuple[int, int]] = {}

    def due(self, commit: str, subjects: Iterable[str], now_us: int) -> set[str]:
        """Those that may be put back now."""
        if commit != self._commit:
            self._commit, self._heals = commit, {}
        return {item for item in subjects if self._heals.get(item, (0, 0))[1] <= now_us}

    def healed(self, subjects: Iterable[str], now_us: int) -> float:
        """Count a heal of each; the shortest pause that it brings, in seconds."""
        pauses = [PAUSE_MAX_S]
        for subject in subjects:
            count = self._heals.pop(subject, (0, 0))[0] + 1
            pauses.append(pause_s(count))
            self._heals[subject] = (count, now_us + int(pauses[-1] * _SECOND_US))
        while len(self._heals) > SUBJECTS_MAX:
            del self._heals[next(iter(self._heals))]
        return min(pauses)

    def fighting(self, subjects: Iterable[str]) -> dict[str, int]:
        """Those of them that were put back again and again, and how often."""
        counts = {item: self._heals.get(item, (0, 0))[0] for item in subjects}
        return {item: count for item, count in counts.items() if count >= FIGHTING}

    def next_s(self, subjects: Iterable[str], now_us: int) -> float | None:
        """In how many seconds the first of them may be put back; None without any."""
        known = [self._heals[item][1] for item in subjects if item in self._heals]
        return max(0, min(known) - now_us) / _SECOND_US if known else None
