"""`orloj schedules` shows when each runs next, and what became of its last moments."""

import json
from typing import Any

import pytest
from home import Home

from reconciler.schedule.schedules import Schedules
from runner import decisions
from runner.contract import clock

MINUTE = 60_000_000


def record(home: Home, name: str, **fields: Any) -> None:
    spec = {"task_ref": "report", "schedule": "* * * * *", **fields}
    home.record("TaskSchedule", name, spec)


@pytest.fixture
def templates(home: Home) -> Home:
    home.record("Agent", "clerk", {"model": "m"})
    home.record("Task", "report", {"agent": "clerk", "mode": "template"})
    return home


def tend(home: Home) -> int:
    now_us = clock.now_us()
    Schedules(home.database, decisions.cancel).tend(now_us)
    return now_us


def test_a_home_without_schedules_says_what_makes_one(orloj) -> None:
    assert "A TaskSchedule manifest makes one" in orloj("schedules").out
    assert json.loads(orloj("schedules", "--json").out) == []


def test_last_and_next_moments_are_shown(templates: Home, orloj) -> None:
    record(templates, "often", time_zone="Asia/Kolkata")
    record(templates, "paused", suspend=True)
    now_us = tend(templates)
    often, paused = json.loads(orloj("schedules", "--json").out)
    (task,) = templates.rows("SELECT id FROM task")[0]
    queued, missed = often["fires"]
    assert (queued["decision"], queued["task"], queued["state"]) == ("queued", task, "pending")
    assert (missed["decision"], missed["task"]) == ("missed", None)
    assert queued["due"] == clock.iso(now_us - now_us % MINUTE)
    assert (often["task"], often["time_zone"]) == ("task/default/report", "Asia/Kolkata")
    assert often["missed"] == 1_000
    assert len(often["next"]) == 3
    assert queued["due"] < often["next"][0] < often["next"][1]
    assert (paused["suspended"], paused["next"], paused["fires"]) == (True, [], [])
    rows = [line.split("  ") for line in orloj("schedules").out.splitlines()]
    cells = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert cells["default/often"][0] == "* * * * *"
    assert "pending" in cells["default/often"]
    assert "suspended" in cells["default/paused"]


def test_the_status_counts_schedules_and_what_they_missed(templates: Home, orloj) -> None:
    assert "schedules  none" in orloj("status").out
    record(templates, "often")
    record(templates, "paused", suspend=True)
    tend(templates)
    assert "schedules  2, 1 suspended, 1 000 moments missed" in orloj("status").out
    found = json.loads(orloj("status", "--json").out)["schedules"]
    assert found == {"count": 2, "suspended": 1, "missed": 1_000}


def test_why_nothing_ran_is_said(templates: Home, orloj) -> None:
    record(templates, "lonely", task_ref="other")
    tend(templates)
    done = orloj("schedules")
    assert "skipped" in done.out
    assert "default/lonely: task/default/other is not there" in done.out
    assert len(json.loads(orloj("schedules", "--json", "--limit", "1").out)[0]["fires"]) == 1


def test_a_schedule_that_cannot_be_read_says_so(templates: Home, orloj) -> None:
    record(templates, "strange")
    with templates.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE resource SET body = replace(body, 'schedule', 'timing')"
            " WHERE kind = 'TaskSchedule'"
        )
    done = orloj("schedules")
    assert "unreadable" in done.out
    assert "cannot be read by this version" in done.out
