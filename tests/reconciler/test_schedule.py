"""Every moment of a schedule is decided once, with its task and log entries, or not at all."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from home import Home, opened
from sqlalchemy import Connection

from reconciler import apply, by_hand
from reconciler.schedule import rows as schedule_rows
from reconciler.schedule.schedules import Schedules
from runner import decisions
from runner.contract import seal
from runner.contract.kinds import Key

MINUTE = 60_000_000
HOUR = 60 * MINUTE
NINE = int(datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp()) * 1_000_000
KEY = Key("default", "TaskSchedule", "hourly")
TEMPLATE = """\
apiVersion: orloj.dev/v1
kind: Agent
metadata: {name: clerk}
spec: {model_ref: scripted, prompt: Be brief.}
---
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata: {name: scripted}
spec: {provider: mock, default_model: m}
---
apiVersion: orloj.dev/v1
kind: Task
metadata: {name: report}
spec: {agent: clerk, mode: template, input: {topic: sales}, priority: high}
"""
SCHEDULE = """\
apiVersion: orloj.dev/v1
kind: TaskSchedule
metadata: {name: hourly}
spec: {task_ref: report, schedule: "0 * * * *"%s}
"""


class World:
    """A home with a template, and schedules whose clock is a number."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.schedules = self.started()
        self.apply(TEMPLATE, NINE - HOUR)

    def started(self) -> Schedules:
        """Schedules as a new process has them."""
        return Schedules(self.home.database, decisions.cancel)

    def apply(self, text: str, at_us: int) -> None:
        sealer = seal.sealer(self.home.folder)
        texts = {"by-hand.yaml": text.encode()}
        seen = by_hand.review(self.home.database, sealer, "ada", texts, 0)
        assert seen.plan is not None, seen.problems
        apply.apply(self.home.database, seen.plan, at_us)

    def schedule(self, more: str = "", at_us: int = NINE - MINUTE) -> None:
        self.apply(SCHEDULE % (more and f", {more}"), at_us)

    def fires(self) -> list[tuple[int, str]]:
        with self.home.database.read() as connection:
            found = schedule_rows.records(connection, KEY)
        return [((fire.fire_at - NINE) // MINUTE, fire.decision) for fire in reversed(found)]

    def tasks(self) -> list[Any]:
        return self.home.rows("SELECT id, state, actor, task_name FROM task ORDER BY id")

    def finish(self, state: str = "succeeded") -> None:
        with self.home.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE task SET state = ? WHERE state = 'pending'", (state,)
            )

    def logged(self) -> list[str]:
        types = [entry["type"] for entry in self.home.entries()]
        return [kind for kind in types if kind.startswith(("schedule.", "task."))]


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    home = Home(tmp_path / "home", database_url)
    yield World(home)
    home.close()


def test_a_moment_queues_the_template_once_however_often_anybody_looks(world: World) -> None:
    world.schedule()
    assert world.schedules.tend(NINE - 1) == NINE
    assert world.tasks() == []
    for _ in range(3):
        assert world.schedules.tend(NINE) == NINE + HOUR
    assert world.started().tend(NINE + 1) == NINE + HOUR
    ((task, state, actor, name),) = world.tasks()
    assert (state, actor, name) == ("pending", "schedule:default/hourly", "report")
    assert world.fires() == [(0, "queued")]
    assert world.logged() == ["task.queued", "schedule.fired"]
    fired = world.home.entries(task)[-1]
    assert fired["resource"] == "taskschedule/default/hourly"
    assert fired["rule"] == "by-hand.yaml:1"
    assert fired["reason"] == "due at 2026-11-23T09:00:00.000000Z"
    (row,) = world.home.rows("SELECT input, priority FROM task")
    assert tuple(row) == ('{"topic": "sales"}', 1)


def test_a_task_that_stands_in_the_schedule_is_queued(world: World) -> None:
    inline = "task_template: {agent: clerk, input: {topic: tea}, priority: low, max_turns: 3}"
    world.apply(SCHEDULE.replace("task_ref: report", inline) % "", NINE - MINUTE)
    world.schedules.tend(NINE)
    ((_, state, _, name),) = world.tasks()
    assert (state, name) == ("pending", None)
    (row,) = world.home.rows("SELECT input, priority, flow FROM task")
    assert tuple(row) == ('{"topic": "tea"}', 3, '{"max_turns": 3}')


def test_daemons_at_once_queue_one_task_for_each_moment(world: World) -> None:
    databases = [opened(world.home.folder, world.home.url) for _ in range(4)]
    daemons = [Schedules(database, decisions.cancel) for database in databases]
    names = [f"s{n}" for n in range(40)]
    world.apply(
        "---\n".join(SCHEDULE.replace("hourly", name) % "" for name in names), NINE - MINUTE
    )
    for schedules in daemons:
        schedules.tend(NINE - MINUTE)  # So that each knows every schedule before it is due.
    together = threading.Barrier(len(daemons))

    def look(schedules: Schedules) -> None:
        together.wait()
        schedules.tend(NINE)

    threads = [threading.Thread(target=look, args=(schedules,)) for schedules in daemons]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert [row[2] for row in world.tasks()].count("schedule:default/s7") == 1
    assert len(world.tasks()) == len(names)
    assert world.logged().count("schedule.fired") == len(names)


def test_a_transaction_that_fails_leaves_nothing_and_the_moment_comes_again(
    world: World,
) -> None:
    def fail(_: Connection, __: object, *, actor: str, now_us: int) -> None:
        raise RuntimeError("the process ends here")

    world.schedule("concurrency_policy: replace")
    world.schedules.tend(NINE)
    broken = Schedules(world.home.database, fail)
    with pytest.raises(RuntimeError, match="ends here"):
        broken.tend(NINE + HOUR)
    assert len(world.tasks()) == 1
    assert world.fires() == [(0, "queued")]
    broken._cancel = decisions.cancel  # The world mends; the same process looks again.
    broken.tend(NINE + HOUR + 1)
    assert world.fires() == [(0, "queued"), (60, "queued")]


def test_after_a_silence_the_latest_runs_and_the_others_are_missed_as_one(
    world: World,
) -> None:
    world.schedule()
    world.started().tend(NINE + 3 * HOUR + MINUTE)
    assert world.fires() == [(120, "missed"), (180, "queued")]
    assert world.logged() == ["task.queued", "schedule.missed", "schedule.fired"]
    missed = [entry for entry in world.home.entries() if entry["type"] == "schedule.missed"]
    assert missed[0]["reason"].startswith("due at 2026-11-23T11:00:00.000000Z: 3 missed")
    assert world.home.rows("SELECT missed FROM schedule") == [(3,)]


def test_a_moment_beyond_its_deadline_is_missed(world: World) -> None:
    world.schedule("starting_deadline_seconds: 60")
    world.schedules.tend(NINE + MINUTE + 1)
    assert world.fires() == [(0, "missed")]
    assert world.tasks() == []


def test_a_clock_that_is_set_back_fires_nothing_twice(world: World) -> None:
    world.schedule("concurrency_policy: allow")
    world.schedules.tend(NINE + HOUR)
    for now in (NINE - MINUTE, NINE, NINE + HOUR):
        world.schedules.tend(now)
        world.started().tend(now)
    assert world.fires() == [(0, "missed"), (60, "queued")]
    world.schedule("concurrency_policy: allow, suspend: true", NINE - 2 * MINUTE)
    world.started().tend(NINE - 2 * MINUTE)
    world.schedule("concurrency_policy: allow", NINE - MINUTE)
    world.started().tend(NINE)  # Anew, and still what is decided is decided.
    world.started().tend(NINE + HOUR)
    assert world.fires() == [(0, "missed"), (60, "queued")]
    assert len(world.tasks()) == 1


def test_a_changed_schedule_begins_at_its_apply(world: World) -> None:
    world.schedule(at_us=NINE - MINUTE)
    world.schedules.tend(NINE - MINUTE)
    world.apply(SCHEDULE.replace("0 *", "30 *") % "", NINE + 45 * MINUTE)
    assert world.schedules.tend(NINE + 46 * MINUTE) == NINE + 90 * MINUTE
    assert world.fires() == []
    world.apply(SCHEDULE.replace("0 *", "30 *") % ", time_zone: Asia/Kolkata", NINE + HOUR)
    assert world.schedules.tend(NINE + HOUR) == NINE + 2 * HOUR


def test_what_is_suspended_owes_nothing_and_begins_anew(world: World) -> None:
    world.schedule("suspend: true")
    assert world.schedules.tend(NINE + 5 * HOUR) is None
    world.schedule(at_us=NINE + 5 * HOUR + MINUTE)
    assert world.schedules.tend(NINE + 5 * HOUR + MINUTE) == NINE + 6 * HOUR
    assert world.fires() == []


def test_a_deleted_schedule_is_forgotten_and_its_task_goes_on(world: World) -> None:
    world.schedule()
    world.schedules.tend(NINE)
    with world.home.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM resource WHERE kind = 'TaskSchedule'")
        connection.exec_driver_sql("UPDATE state SET serial = serial + 1")
    assert world.schedules.tend(NINE + HOUR) is None
    assert world.fires() == []
    assert [row[1] for row in world.tasks()] == ["pending"]


def test_forbid_skips_while_a_task_is_not_finished(world: World) -> None:
    world.schedule()
    world.schedules.tend(NINE)
    world.schedules.tend(NINE + HOUR)
    world.finish()
    world.schedules.tend(NINE + 2 * HOUR)
    assert world.fires() == [(0, "queued"), (60, "skipped"), (120, "queued")]
    (skipped,) = [one for one in world.home.entries() if one["type"] == "schedule.skipped"]
    assert world.tasks()[0][0] in skipped["reason"]


def test_allow_lets_tasks_run_side_by_side(world: World) -> None:
    world.schedule("concurrency_policy: allow")
    for hours in range(3):
        world.schedules.tend(NINE + hours * HOUR)
    assert [row[1] for row in world.tasks()] == ["pending"] * 3


def test_replace_cancels_what_is_not_finished_in_the_same_transaction(world: World) -> None:
    world.schedule("concurrency_policy: replace")
    world.schedules.tend(NINE)
    world.schedules.tend(NINE + HOUR)
    assert [row[1] for row in world.tasks()] == ["cancelled", "pending"]
    assert world.logged() == [
        *("task.queued", "schedule.fired"),
        *("task.cancelled", "task.queued", "schedule.fired"),
    ]
    (cancelled,) = [one for one in world.home.entries() if one["type"] == "task.cancelled"]
    assert cancelled["actor"] == "schedule:default/hourly"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM resource WHERE kind = 'Task'", "task/default/report is not there"),
        (
            "UPDATE resource SET body = replace(body, 'mode', 'mood') WHERE kind = 'Task'",
            "a recorded Task cannot be read by this version",
        ),
    ],
    ids=["gone", "unreadable"],
)
def test_a_template_that_cannot_be_used_skips_and_says_so(
    world: World, change: str, words: str
) -> None:
    world.schedule()
    with world.home.database.write() as connection:
        connection.exec_driver_sql(change)
    world.schedules.tend(NINE)
    assert world.fires() == [(0, "skipped")]
    assert words in world.home.entries()[-1]["reason"]


def test_a_schedule_that_cannot_be_read_runs_nothing_and_stops_no_other(world: World) -> None:
    world.schedule()
    world.apply(SCHEDULE.replace("hourly", "broken") % "", NINE - MINUTE)
    with world.home.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE resource SET body = replace(body, 'schedule', 'timing')"
            " WHERE name = 'broken'"
        )
    assert world.schedules.tend(NINE) == NINE + HOUR
    assert world.fires() == [(0, "queued")]


def test_the_history_is_pruned_and_the_log_is_not(world: World) -> None:
    world.schedule("successful_history_limit: 2, failed_history_limit: 1")
    for hours in range(6):
        world.schedules.tend(NINE + hours * HOUR)
        world.finish("failed" if hours in (1, 2) else "succeeded")
    assert world.fires() == [
        *((120, "queued"), (180, "queued")),
        *((240, "queued"), (300, "queued")),
    ]
    assert world.logged().count("schedule.fired") == 6
    assert len(world.tasks()) == 6
    world.started().tend(NINE + 5 * HOUR)
    assert len(world.tasks()) == 6


def test_many_schedules_come_due_in_few_transactions(world: World) -> None:
    world.apply(
        "---\n".join(SCHEDULE.replace("hourly", f"s{n}") % "" for n in range(120)),
        NINE - MINUTE,
    )
    assert world.schedules.tend(NINE) == NINE + HOUR
    assert len(world.tasks()) == 120
    times = world.home.rows("SELECT decided_at, count(*) FROM schedule_fire GROUP BY 1")
    assert times == [(NINE, 120)]
