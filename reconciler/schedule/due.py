"""What a schedule owes at a moment, and what becomes of it. Pure; microseconds, UTC.

    decided up to `through` ──> moments since then: the latest runs, unless it is too late;
                                all before it are missed, however many there are

A schedule begins at the moment its manifest was applied, and begins anew when its timing
changed or it was resumed. What is decided is decided: a clock that is set back owes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from runner.contract.kinds import TaskSchedule

COUNTED_MAX: Final = 1_000
"""Moments missed are counted up to here, so that a year's silence costs no second."""
_SECOND_US: Final = 1_000_000


class Moments(Protocol):
    """When a schedule comes due: `runner.contract.timetable`."""

    def latest(self, after_us: int, until_us: int) -> int | None:
        """The last moment later than one time and not later than another."""

    def count(self, after_us: int, before_us: int, count_max: int) -> int:
        """How many moments lie between two times, ends left out."""


class Decision(StrEnum):
    """What became of a moment."""

    QUEUED = "queued"
    """A task was queued."""
    SKIPPED = "skipped"
    """Its turn came, and a rule or a missing template forbade it."""
    MISSED = "missed"
    """Nobody was there to run it in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a schedule is decided. `missed` counts moments since it began."""

    timing: str
    suspended: bool
    generation: int
    through_us: int
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """The moment to run, if any, and how many were missed, the last of them when."""

    run_us: int | None
    missed: int
    missed_last_us: int | None
    through_us: int

    @property
    def missed_words(self) -> str:
        """How many moments were missed."""
        return f"{COUNTED_MAX} or more" if self.missed >= COUNTED_MAX else str(self.missed)


@dataclass(frozen=True, slots=True, kw_only=True)
class FireRecord:
    """A decided moment. `task` and its `state` are None when none was queued."""

    fire_at: int
    decision: str
    reason: str | None
    task: str | None
    state: str | None


def timing(spec: TaskSchedule) -> str:
    """What a schedule's moments depend on."""
    return f"{spec.schedule} {spec.time_zone}"


def followed(
    before: Progress | None, spec: TaskSchedule, generation: int, since_us: int
) -> Progress:
    """How far a schedule is decided under its manifest, which stands since `since_us`.

    A generation that was never seen may have changed the timing and changed it back.
    """
    anew = (
        before is None
        or before.timing != timing(spec)
        or (before.suspended and not spec.suspend)
        or generation - before.generation not in (0, 1)
    )
    if before is None or anew:
        return Progress(
            timing=timing(spec),
            suspended=spec.suspend,
            generation=generation,
            through_us=since_us,
        )
    return replace(before, suspended=spec.suspend, generation=generation)


def owed(
    progress: Progress, deadline_s: int | None, timetable: Moments, now_us: int
) -> Owed | None:
    """What is due and undecided now; None when nothing is."""
    if progress.suspended:
        return None
    latest = timetable.latest(progress.through_us, now_us)
    if latest is None:
        return None
    missed = timetable.count(progress.through_us, latest, COUNTED_MAX)
    if deadline_s is not None and now_us - latest > deadline_s * _SECOND_US:
        return Owed(
            run_us=None,
            missed=min(missed + 1, COUNTED_MAX),
            missed_last_us=latest,
            through_us=latest,
        )
    return Owed(
        run_us=latest,
        missed=missed,
        missed_last_us=timetable.latest(progress.through_us, latest - 1) if missed else None,
        through_us=latest,
    )


def beyond(
    fires: Sequence[FireRecord], succeeded_max: int, others_max: int, finished: frozenset[str]
) -> list[int]:
    """The moments, of fires newest first, that the limits of the history leave no room for.

    A fire whose task is not finished is always kept, and counts for neither limit.
    """
    left = {True: succeeded_max, False: others_max}
    found = []
    for fire in fires:
        if fire.state is not None and fire.state not in finished:
            continue
        kind = fire.state == "succeeded"
        left[kind] -= 1
        if left[kind] < 0:
            found.append(fire.fire_at)
    return found
