"""TaskSchedule: queue a task from a template whenever a cron schedule comes due."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from runner.contract import cron, zones
from runner.contract.kinds.trigger import Trigger

DEADLINE_S: Final = 300
"""How late a run may start unless the manifest says otherwise, as in the public dialect."""
_YEAR_S: Final = 31_536_000
_KEPT_MAX: Final = 1_000

ConcurrencyPolicy = Literal["forbid", "allow", "replace"]


def _schedule(text: str) -> str:
    cron.parse(text)
    return text


def _zone(name: str) -> str:
    zones.zone(name)
    return name


class TaskSchedule(Trigger):
    """A cron schedule that queues a task. See docs/schedules.md.

    A run that is late by more than the deadline is missed; `null` means that it never is.
    """

    schedule: Annotated[str, AfterValidator(_schedule)]
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    suspend: bool = False
    starting_deadline_seconds: int | None = Field(default=DEADLINE_S, ge=1, le=_YEAR_S)
    concurrency_policy: ConcurrencyPolicy = "forbid"
    successful_history_limit: int = Field(default=10, ge=0, le=_KEPT_MAX)
    failed_history_limit: int = Field(default=3, ge=0, le=_KEPT_MAX)
