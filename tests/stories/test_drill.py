"""Whoever is killed, whenever: no task is lost, no effect is repeated, nothing gets stuck.

What runs here is a short drill for every change. The whole one, 500 kills and 2 000 tasks,
is a command: see docs/contributing.md. The same seed strikes in the same order.
"""

from pathlib import Path

import pytest
from drill import Plan, drilled
from drill_findings import findings, report

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]


def carried_out(plan: Plan, folder: Path) -> list[str]:
    with drilled(plan, folder) as drill:
        wrong = findings(drill)
        print(report(drill, wrong))
    return wrong


def test_kills_at_random_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    plan = Plan(seed=17, kills=50, tasks=200, stops=5, pushed=40, patience_s=400)
    assert carried_out(plan, tmp_path) == []
