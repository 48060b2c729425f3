"""A plan says what it touches: who depends on it, what is under way, and what was called.

It is read by indexes, with an end, and only where somebody looks at the plan.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pushed import SECOND_US, World, agent, manifest

from reconciler import impact_rows
from reconciler.change import Plan
from reconciler.impact import Impact, InFlight, Scheduled, Touched
from reconciler.views.impact import change_lines, impact_json, summary
from reconciler.views.plan import plan_words
from reconciler.views.plan_json import plan_json
from runner import queue
from runner.claim import Held
from runner.contract import clock, submission
from runner.contract.kinds import Key
from runner.contract.submission import Submission
from runner.pinning import Pins

DAY_US = 86_400 * SECOND_US
CLERK, DESK = Key("default", "Agent", "clerk"), Key("default", "AgentSystem", "desk")
SCAN = Key("default", "Tool", "scan")
GRANT = "{name: scan, permissions: [{read: docs}]}"
SCHEDULE = "{task_ref: report, schedule: '0 4 * * *'%s}"
TOOL = "{type: http, endpoint: 'http://x', requires: [{read: docs}]%s}"
FILES: dict[str, str | None] = {
    "scan.yaml": manifest("Tool", "scan", TOOL % ""),
    "clerk.yaml": agent("clerk", tools=GRANT),
    "helper.yaml": agent("helper", tools=GRANT),
    "other.yaml": agent("other"),
    "desk.yaml": manifest("AgentSystem", "desk", "{agents: [other, clerk]}"),
    "report.yaml": manifest("Task", "report", "{system: desk, mode: template}"),
    "nightly.yaml": manifest("TaskSchedule", "nightly", SCHEDULE % ""),
    "idle.yaml": manifest("TaskSchedule", "idle", SCHEDULE % ", suspend: true"),
    "model.yaml": manifest("ModelEndpoint", "gpt-4", "{provider: mock, default_model: m}"),
}


class Office(World):
    """A world with tasks in flight, and calls in its past."""

    def task(
        self, subject: Key = CLERK, state: str = "leased", *, age_us: int = 0, **more: Any
    ) -> str:
        """A task that began so long ago."""
        at_us = clock.now_us() - age_us
        with self.database.write() as connection:
            work = Submission(subject=subject, actor="person:test", **more)
            (task,) = submission.submit(connection, [work], "a" * 40, at_us)
            pins = Pins(connection)
            pins.look()
            (free,) = queue.claimable(connection, [task])
            manifests, commit = pins.pin(free)
            held = Held(
                *(task, "w1", 1, 1, 0, {}, commit, manifests, free.task_name),
                subject="/".join(subject),
            )
            queue.claim(connection, [held], "here", at_us, at_us)
            # An id tells the age of its task, and this one's is now.
            old = clock.first_id(at_us) if age_us else task
            for table in ("task", "attempt"):
                column = "id" if table == "task" else "task_id"
                connection.exec_driver_sql(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (old, task)
                )
            connection.exec_driver_sql("UPDATE task SET state = ? WHERE id = ?", (state, old))
        return old

    def calls(self, task: str, who: str, *calls: tuple[str, str]) -> None:
        """Steps of a task, each a kind and a name."""
        with self.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO step VALUES (?, ?, ?, ?, ?, '{}', 'done', '{}', 1, 0, 0, 0, 0, 0)",
                [
                    (task, number, who, kind, name)
                    for number, (kind, name) in enumerate(calls, start=1)
                ],
            )

    def impact(self) -> Impact:
        planned = self.plan()
        assert planned.impact is not None
        return planned.impact

    def plan(self) -> Plan:
        planned = self.reconciler.preview().plan
        assert planned is not None
        return planned


@pytest.fixture
def office(tmp_path: Path, database_url: str) -> Iterator[Office]:
    office = Office(tmp_path, database_url)
    office.push(FILES)
    office.look()
    yield office
    office.database.close()


def change_scan(office: Office) -> Impact:
    office.push({"scan.yaml": manifest("Tool", "scan", TOOL % ", description: new")})
    return office.impact()


def names(keys: tuple[Key, ...]) -> list[str]:
    return [key.name for key in keys]


def test_a_change_touches_whoever_names_it_and_whoever_names_those(office: Office) -> None:
    touched = change_scan(office).changes[SCAN]
    assert names(touched.agents) == ["clerk", "helper"]
    assert names(touched.systems) == ["desk"]
    assert [item.key.name for item in touched.schedules] == ["idle", "nightly"]
    suspended, nightly = (item.next_us for item in touched.schedules)
    assert suspended is None
    assert nightly is not None
    assert nightly % DAY_US == 4 * 3_600 * SECOND_US
    assert 0 < nightly - clock.now_us() <= DAY_US


def test_tasks_in_flight_count_by_state_with_what_they_began_under(office: Office) -> None:
    office.task()
    office.task(DESK)
    office.task(state="waiting_approval")
    office.task(Key("default", "Agent", "other"))
    office.task(state="succeeded")
    touched = change_scan(office).changes[SCAN]
    assert dict(touched.tasks) == {"leased": 2, "waiting_approval": 1}
    assert touched.in_flight == 3
    assert touched.commits == (office.state().applied_commit,)


def test_calls_of_a_week_count_by_whom_and_to_what(office: Office) -> None:
    task, system = office.task(), office.task(DESK)
    office.calls(task, "clerk", ("model", "m"), ("tool", "scan"), ("tool", "scan"))
    office.calls(system, "other", ("model", "m"))
    week = office.task(age_us=6 * DAY_US)
    office.calls(week, "clerk", ("tool", "scan"))
    older = office.task(age_us=8 * DAY_US)
    office.calls(older, "clerk", ("tool", "scan"), ("model", "m"))
    office.push(
        {
            "scan.yaml": manifest("Tool", "scan", TOOL % ", description: new"),
            "clerk.yaml": agent("clerk", "Be long.", tools=GRANT),
            "desk.yaml": manifest("AgentSystem", "desk", "{agents: [clerk, other]}"),
        }
    )
    impact = office.impact()
    counted = {key.name: touched.calls for key, touched in impact.changes.items()}
    assert counted == {"scan": 3, "clerk": 4, "desk": 1}
    assert impact.total.calls == 5  # Each once, whatever touches it.
    assert not impact.bounded


def test_one_change_that_cancels_decides_what_becomes_of_a_task(office: Office) -> None:
    office.task()
    office.task(Key("default", "Agent", "helper"))
    described = TOOL % ", description: new"
    office.push(
        {
            "scan.yaml": manifest("Tool", "scan", described, in_flight="drain"),
            "clerk.yaml": agent("clerk", "Be long.", tools=GRANT, in_flight="cancel"),
            "model.yaml": manifest(
                "ModelEndpoint", "gpt-4", "{provider: mock, default_model: n}"
            ),
        }
    )
    fates = {key.name: dict(one.fates) for key, one in office.impact().changes.items()}
    assert fates == {
        "clerk": {InFlight.CANCEL: 1},
        "scan": {InFlight.CANCEL: 1, InFlight.DRAIN: 1},
        "gpt-4": {InFlight.CANCEL: 1, InFlight.DRAIN: 1},
    }


def test_a_deletion_touches_as_a_change_does(office: Office) -> None:
    office.task(Key("default", "Agent", "helper"))
    office.push({"helper.yaml": None})
    touched = office.impact().changes[Key("default", "Agent", "helper")]
    assert dict(touched.fates) == {InFlight.CONTINUE: 1}


def test_what_only_moves_touches_nothing(office: Office) -> None:
    office.task()
    office.push({"scan.yaml": None, "tools/scan.yaml": FILES["scan.yaml"]})
    assert office.impact() == Impact(changes={}, total=Touched())


def test_a_pass_does_not_ask(office: Office) -> None:
    office.push({"scan.yaml": manifest("Tool", "scan", TOOL % ", description: new")})
    planned = office.look().plan
    assert planned is not None
    assert planned.impact is None
    assert plan_json(planned)["impact"] is None


def test_what_is_touched_is_no_part_of_the_plans_id(office: Office) -> None:
    change_scan(office)
    before = office.plan().id
    office.task()
    assert office.plan().id == before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_table_is_read_whole(office: Office) -> None:
    plan = [row[-1] for row in office.rows(f"EXPLAIN QUERY PLAN {impact_rows.CALLS}", "0", 10)]
    read = [line for line in plan if "step" in line or "task" in line]
    assert any("SEARCH step USING INDEX" in line for line in read), plan
    assert any("SEARCH task USING INDEX" in line for line in read), plan
    assert not any(line.startswith(("SCAN step", "SCAN task")) for line in plan), plan


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_there_is_more_than_is_read_it_says_so(office: Office) -> None:
    most = impact_rows.CALLS_MAX
    office.calls(office.task(), "clerk", *[("tool", "scan")] * (most + 1))
    impact = change_scan(office)
    assert (impact.bounded, impact.changes[SCAN].calls) == (True, most)
    assert "touches at least 2 agents" in plan_words(office.plan()).plain


# In words.

AT = 1_795_579_200 * SECOND_US
TOUCHED = Touched(
    agents=(CLERK, CLERK._replace(name="helper")),
    systems=(DESK,),
    schedules=(
        Scheduled(Key("default", "TaskSchedule", "a"), None),
        Scheduled(Key("default", "TaskSchedule", "b"), AT),
    ),
    tasks={"leased": 2, "waiting_approval": 1},
    fates={InFlight.CONTINUE: 3},
    commits=("696f056d" + "0" * 32,),
    calls=1_412,
)


def lines(touched: Touched) -> list[str]:
    impact = Impact(changes={SCAN: touched}, total=touched)
    return [line.plain.strip() for line in change_lines(impact, SCAN)]


def test_a_change_says_in_two_lines_what_it_touches() -> None:
    assert lines(TOUCHED) == [
        "touches 2 agents, 1 system, 2 schedules (next 2026-11-25 04:00:00), 3 tasks in flight,"
        " 1 412 calls in 7 days",
        "3 tasks in flight finish on 696f056d",
    ]
    assert lines(Touched()) == []
    assert list(change_lines(None, SCAN)) == []
    assert (
        summary(Impact(changes={}, total=Touched(agents=(CLERK,))))
        == " The plan touches 1 agent."
    )


@pytest.mark.parametrize(
    ("count", "policy", "said"),
    [
        (1, InFlight.CONTINUE, "1 task in flight finishes on 696f056d"),
        (1, InFlight.CANCEL, "1 task in flight is cancelled"),
        (2, InFlight.CANCEL, "2 tasks in flight are cancelled"),
        (2, InFlight.DRAIN, "2 tasks in flight are awaited"),
    ],
)
def test_what_becomes_of_tasks_is_said_in_the_plan(
    count: int, policy: InFlight, said: str
) -> None:
    touched = Touched(tasks={"leased": count}, commits=TOUCHED.commits, fates={policy: count})
    assert lines(touched)[1] == said


def test_json_counts_the_whole_and_names_each() -> None:
    found = impact_json(Impact(changes={SCAN: TOUCHED}, total=TOUCHED, bounded=True))
    assert json.loads(json.dumps(found)) == {
        "agents": 2,
        "systems": 1,
        "schedules": 2,
        "tasks_in_flight": 3,
        "calls": 1_412,
        "bounded": True,
        "changes": [
            {
                "address": "tool/default/scan",
                "agents": ["agent/default/clerk", "agent/default/helper"],
                "systems": ["agentsystem/default/desk"],
                "schedules": [
                    {"address": "taskschedule/default/a", "next": None},
                    {
                        "address": "taskschedule/default/b",
                        "next": "2026-11-25T04:00:00.000000Z",
                    },
                ],
                "tasks_in_flight": {"leased": 2, "waiting_approval": 1},
                "in_flight": {"continue": 3},
                "commits": ["696f056d" + "0" * 32],
                "calls": 1_412,
            }
        ],
    }


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_plan_shows_it_with_its_change_and_in_its_summary(office: Office) -> None:
    office.task()
    change_scan(office)
    shown = plan_words(office.plan()).plain
    assert "touches 2 agents, 1 system, 2 schedules (next " in shown
    assert f"1 task in flight finishes on {str(office.state().applied_commit)[:8]}" in shown
    summary_line = next(line for line in shown.splitlines() if line.startswith("Plan: "))
    assert "The plan touches 2 agents" in summary_line
