"""What an export is made of: a scope, a folder, and parts that watch the entries go by.

    entries of the period, in order ──take──> every part ──end──> files in the folder

The entries are read once, however many parts there are. A part keeps sums, or writes as it
goes: memory must not grow with the period. Everything is a function of the log, of Git and
of the scope, never of the clock or the present state: the same period gives the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from reconciler.proof.checkpoint import Checkpoint
from runner.contract.audit import Stored


@dataclass(frozen=True, slots=True)
class Scope:
    """Which period of which log, and the head that proves it.

    Times are microseconds, UTC; `until_us` is outside. `first` and `last` are the numbers of
    the first and last entry of the period; `last` is `first` - 1 when there is none.
    `checkpoint` covers `last`. `mirror` is the Git folder of the repository, None without one.
    """

    log: str
    since_us: int
    until_us: int
    first: int
    last: int
    checkpoint: Checkpoint
    folder: Path
    mirror: Path | None = None


class Part(Protocol):
    """Something of the export that is made while the entries of the period go by."""

    def take(self, entry: Stored) -> None:
        """Look at the next entry."""

    def end(self) -> None:
        """Write what came of it into the folder of the scope."""
