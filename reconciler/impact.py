"""What a change touches: who depends on it, and what is under way. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runner.contract.kinds import Key


class InFlight(StrEnum):
    """What becomes of tasks in flight under a resource when it changes."""

    CONTINUE = "continue"
    """They finish on the manifests they began under."""
    CANCEL = "cancel"
    """They are cancelled in the transaction that changes it."""
    DRAIN = "drain"
    """It is not changed before they are over, or the wait has taken too long."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A schedule that starts what is touched, and when it comes due next, if it does."""

    key: Key
    next_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What one change touches, or all of them together.

    `tasks` counts those in flight by state, `fates` what becomes of them, and `commits` are
    what they began under; `calls` counts what tasks of the last days asked for.
    """

    agents: tuple[Key, ...] = ()
    systems: tuple[Key, ...] = ()
    schedules: tuple[Scheduled, ...] = ()
    tasks: Mapping[str, int] = field(default_factory=dict)
    commits: tuple[str, ...] = ()
    calls: int = 0
    fates: Mapping[InFlight, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """How many tasks are in flight."""
        return sum(self.tasks.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What a plan touches. `bounded`: there was more than is counted."""

    changes: Mapping[Key, Touched]
    total: Touched
    bounded: bool = False
