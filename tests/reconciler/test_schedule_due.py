"""What is owed is the latest moment alone, within its deadline, and never a moment twice."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.schedule.due import (
    COUNTED_MAX,
    Decision,
    FireRecord,
    Owed,
    Progress,
    beyond,
    followed,
    owed,
)
from runner.contract.kinds import TaskSchedule
from runner.contract.task_state import FINISHED
from runner.contract.timetable import Timetable

MINUTE = 60_000_000
HOUR = 60 * MINUTE
HOURLY = Timetable("0 * * * *", "UTC")
TIMING = "0 * * * * UTC"


def spec(**fields: Any) -> TaskSchedule:
    return TaskSchedule.model_validate({"task_ref": "t", "schedule": "0 * * * *", **fields})


def decided(through_us: int, **fields: Any) -> Progress:
    state = Progress(timing=TIMING, suspended=False, generation=1, through_us=through_us)
    return replace(state, **fields)


def due(progress: Progress, now_us: int, deadline_s: int | None = 300) -> Owed | None:
    return owed(progress, deadline_s, HOURLY, now_us)


@pytest.mark.parametrize(
    ("through", "now", "deadline_s", "run", "missed", "last"),
    [
        (0, HOUR, 300, HOUR, 0, None),
        (0, HOUR + 5 * MINUTE, 300, HOUR, 0, None),
        (0, HOUR + 5 * MINUTE + 1, 300, None, 1, HOUR),
        (0, HOUR + 59 * MINUTE, None, HOUR, 0, None),
        (0, 3 * HOUR, 300, 3 * HOUR, 2, 2 * HOUR),
        (0, 3 * HOUR + 30 * MINUTE, 300, None, 3, 3 * HOUR),
        (0, 90_000 * HOUR, None, 90_000 * HOUR, COUNTED_MAX, 89_999 * HOUR),
    ],
    ids=[
        "on time",
        "at the deadline",
        "too late",
        "no deadline",
        "after a silence",
        "after a silence, too late",
        "after ten years",
    ],
)
def test_the_latest_runs_in_its_time_and_older_ones_are_missed(
    through: int,
    now: int,
    deadline_s: int | None,
    run: int | None,
    missed: int,
    last: int | None,
) -> None:
    found = due(decided(through), now, deadline_s)
    assert found is not None
    assert (found.run_us, found.missed, found.missed_last_us) == (run, missed, last)
    assert found.through_us == now - now % HOUR


@pytest.mark.parametrize("now", [0, HOUR - 1, -5 * HOUR], ids=["same", "early", "set back"])
def test_nothing_is_owed_before_the_next_moment(now: int) -> None:
    assert due(decided(0), now) is None


def test_a_suspended_schedule_owes_nothing() -> None:
    assert due(decided(0, suspended=True), 9 * HOUR) is None


@given(looks=st.lists(st.integers(0, 200 * HOUR), max_size=30))
def test_no_moment_is_run_twice_however_the_clock_jumps(looks: list[int]) -> None:
    progress, runs = decided(0), []
    for now in looks:
        found = due(progress, now)
        if found is not None:
            progress = replace(progress, through_us=found.through_us)
            runs += [found.run_us] if found.run_us is not None else []
    assert runs == sorted(set(runs))


@pytest.mark.parametrize(
    ("before", "after", "generation", "through"),
    [
        (None, spec(), 1, 7),
        (decided(1), spec(), 1, 1),
        (decided(1), spec(failed_history_limit=9), 2, 1),
        (decided(1), spec(schedule="1 * * * *"), 2, 7),
        (decided(1), spec(time_zone="Europe/Berlin"), 2, 7),
        (decided(1), spec(suspend=True), 2, 1),
        (decided(1, suspended=True), spec(), 2, 7),
        (decided(1), spec(), 3, 7),
    ],
    ids=[
        "new",
        "unchanged",
        "another field",
        "another schedule",
        "another zone",
        "suspended",
        "resumed",
        "two changes at once",
    ],
)
def test_a_schedule_begins_anew_when_its_timing_may_have_changed(
    before: Progress | None, after: TaskSchedule, generation: int, through: int
) -> None:
    found = followed(before, after, generation, 7)
    assert (found.through_us, found.generation) == (through, generation)
    assert found.suspended == after.suspend


def test_the_history_keeps_as_many_as_its_limits_say_and_all_that_still_run() -> None:
    states = [
        "leased",
        "succeeded",
        "dead",
        "succeeded",
        None,
        "failed",
        "pending",
        "succeeded",
    ]
    fires = [
        FireRecord(
            fire_at=-at,
            decision=Decision.QUEUED if state else Decision.SKIPPED,
            reason=None,
            task=None,
            state=state,
        )
        for at, state in enumerate(states)
    ]
    assert beyond(fires, 2, 1, FINISHED) == [-4, -5, -7]
    assert beyond(fires, 0, 0, FINISHED) == [-1, -2, -3, -4, -5, -7]
