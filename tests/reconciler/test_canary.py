"""A revision whose evaluation tasks do not all succeed is undone whole, and stays undone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from status_world import SECOND_US, World, agent, evaluation, task

from reconciler import canary, canary_verdict
from reconciler.canary_verdict import Evaluation, Seen, Verdict, judge
from reconciler.report import Outcome
from reconciler.schedule.schedules import Schedules
from runner import decisions
from runner.contract import clock
from runner.contract.kinds import Key

PLACES = "SELECT namespace, kind, name, body, path, line FROM resource ORDER BY name"
KEY = Key("default", "Task", "exam")
READY = ("Ready", "Applied")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.database.close()


@pytest.fixture
def good(world: World) -> str:
    """A revision that passed: agent `a`, and an evaluation."""
    commit = world.push({"a.yaml": agent("a"), "exam.yaml": evaluation()}, "Good")
    world.look()
    world.end("exam", "succeeded")
    world.tend()
    assert world.condition() == READY
    return commit


def seen(state: str, denied: str | None = None, deadline_us: int = 10) -> Seen:
    return Seen(Evaluation(KEY, "t1", deadline_us), state, None, denied)


@pytest.mark.parametrize(
    ("tasks", "verdict"),
    [
        ([seen("succeeded"), seen("succeeded")], Verdict.PASSED),
        ([seen("succeeded"), seen("leased")], Verdict.WAITING),
        ([seen("waiting_approval")], Verdict.WAITING),
        ([seen("pending", deadline_us=5)], Verdict.FAILED),
        ([seen("succeeded", deadline_us=1)], Verdict.PASSED),
        ([seen("succeeded", denied="mailer")], Verdict.FAILED),
        ([seen("leased"), seen("failed")], Verdict.FAILED),
        ([seen("dead")], Verdict.FAILED),
        ([seen("cancelled")], Verdict.FAILED),
        ([seen("dropped")], Verdict.FAILED),
        ([seen("gone")], Verdict.WAITING),
    ],
    ids=str,
)
def test_every_task_must_succeed_and_none_be_denied(
    tasks: list[Seen], verdict: Verdict
) -> None:
    assert judge(tasks, now_us=5).verdict is verdict


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"orloj.dev/canary": "yes"}, "true"),
        ({"orloj.dev/canary": "true", "orloj.dev/canary-timeout": "soon"}, "duration"),
        ({"orloj.dev/canary": "true", "orloj.dev/canary-timeout": "0s"}, "at most 24h"),
        ({"orloj.dev/canary": "true", "orloj.dev/canary-timeout": "25h"}, "at most 24h"),
    ],
)
def test_a_word_that_is_no_answer_is_refused(annotations: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        canary_verdict.timeout_s(annotations)


def test_a_wrong_annotation_rejects_the_commit(world: World) -> None:
    world.push({"a.yaml": agent("a"), "t.yaml": task("t", canary="yes")})
    result = world.look()
    assert result.outcome is Outcome.REJECTED
    assert "orloj.dev/canary" in result.problems[-1].message


def test_a_revision_is_ready_only_once_its_evaluations_passed(world: World) -> None:
    world.push({"a.yaml": agent("a"), "x.yaml": evaluation("x"), "y.yaml": evaluation("y")})
    world.look()
    assert world.condition() == ("Reconciling", "Canary")
    world.end("x", "succeeded")
    assert world.tend().verdict is Verdict.WAITING
    assert world.state().message == "1 of 2 evaluation tasks passed"
    assert world.look().outcome is Outcome.UNCHANGED
    assert world.condition() == ("Reconciling", "Canary"), "a look does not end it"
    world.end("y", "succeeded")
    assert world.tend().verdict is Verdict.PASSED
    assert world.condition() == READY
    assert world.results() == ["applied"]


def test_run_tasks_wait_until_the_revision_has_passed(world: World, good: str) -> None:
    world.push({"job.yaml": task("job"), "exam.yaml": evaluation()})
    world.look()
    assert ("job", "pending") not in world.tasks()
    world.end("exam", "succeeded")
    world.tend()
    assert ("job", "pending") in world.tasks()


def test_a_failed_evaluation_puts_the_revision_before_back_whole(
    world: World, good: str
) -> None:
    before = world.rows(PLACES)
    bad = world.push(
        {"a.yaml": None, "b.yaml": agent("b"), "exam.yaml": evaluation().replace(": a", ": b")}
        | {"job.yaml": task("job", "b")},
        "Bad",
    )
    world.look()
    assert world.names() == ["b", "exam", "job"]
    world.end("exam", "failed", "it was wrong")
    done = world.tend()
    assert (done.verdict, done.reverted_to) == (Verdict.FAILED, good)
    assert world.rows(PLACES) == before
    state = world.state()
    assert (state.applied_commit, state.attempted_commit) == (good, bad)
    assert world.condition() == ("Stalled", "CanaryFailed")
    assert "task/default/exam" in state.message
    assert "it was wrong" in state.message
    assert world.results() == ["applied", "canary_failed", "reverted"]
    assert all(name != "job" for name, _ in world.tasks()), "what was held never runs"


def test_the_log_names_what_was_put_back_and_why(world: World, good: str) -> None:
    world.push({"b.yaml": agent("b")})
    world.look()
    world.end("exam", "dead")
    world.tend()
    (entry,) = world.log("manifest.reverted")
    assert entry["commit"] == good
    assert "task/default/exam is dead" in entry["reason"]
    assert world.log("resource.deleted")[-1]["resource"] == "agent/default/b"


def test_a_failed_commit_is_not_applied_again_not_even_by_a_new_process(
    world: World, good: str
) -> None:
    world.push({"b.yaml": agent("b")})
    world.look()
    world.end("exam", "failed")
    world.tend()
    world.started()
    for forced in (False, True):
        assert world.look(forced=forced).outcome is Outcome.UNCHANGED
        assert world.condition() == ("Stalled", "CanaryFailed")
        assert "b" not in world.names()


def test_a_newer_commit_is_applied_after_a_failure(world: World, good: str) -> None:
    world.push({"b.yaml": agent("b")})
    world.look()
    world.end("exam", "failed")
    world.tend()
    fixed = world.push({"b.yaml": agent("b", "Better.")})
    assert world.look().outcome is Outcome.APPLIED
    world.end("exam", "succeeded")
    world.tend()
    assert (world.state().applied_commit, world.condition()) == (fixed, READY)


def test_a_forgiven_commit_gets_another_try(world: World, good: str) -> None:
    bad = world.push({"b.yaml": agent("b")})
    world.look()
    world.end("exam", "failed")
    world.tend()
    with world.database.write() as connection:
        row = canary.failed(connection, "default", bad)
        assert row is not None
        canary.forgive(connection, row, "person:ada", world.now_us)
    assert world.look().outcome is Outcome.APPLIED
    assert world.condition() == ("Reconciling", "Canary")
    assert world.log("manifest.overridden")[0]["outcome"] == "canary"


def test_a_newer_commit_preempts_and_falls_back_to_what_was_good(
    world: World, good: str
) -> None:
    world.push({"b.yaml": agent("b"), "job.yaml": task("job")}, "Never judged")
    world.look()
    world.push({"c.yaml": agent("c")}, "Bad")
    world.look()
    world.tend()
    states = [state for name, state in world.tasks() if name == "exam"]
    assert sorted(states) == ["cancelled", "pending", "succeeded"]
    world.end("exam", "failed")
    world.tend()
    assert world.state().applied_commit == good
    assert world.names() == ["a", "exam"]


def test_what_an_unjudged_revision_held_is_run_by_the_one_that_passes(
    world: World, good: str
) -> None:
    world.push({"job.yaml": task("job")})
    world.look()
    world.push({"c.yaml": agent("c")})
    world.look()
    world.end("exam", "succeeded")
    world.tend()
    assert world.tasks().count(("job", "pending")) == 1


def test_a_commit_without_a_change_of_manifests_goes_on_with_the_trial(
    world: World, good: str
) -> None:
    world.push({"b.yaml": agent("b")})
    world.look()
    world.repository.write("README.md", "words")
    readme = world.repository.commit("Words")
    world.repository.push()
    world.look()
    assert world.condition() == ("Reconciling", "Canary")
    world.end("exam", "failed")
    world.tend()
    assert (world.state().applied_commit, world.state().attempted_commit) == (good, readme)


def test_time_runs_out_by_the_annotation(world: World, good: str) -> None:
    slow = evaluation(**{"canary-timeout": "20s"})
    world.push({"exam.yaml": slow})
    world.look()
    assert world.tend(after_us=19 * SECOND_US).verdict is Verdict.WAITING
    assert world.tend(after_us=2 * SECOND_US).verdict is Verdict.FAILED
    assert "time ran out" in world.state().message


def test_a_first_revision_that_fails_stays_and_says_so(world: World) -> None:
    world.push({"a.yaml": agent("a"), "exam.yaml": evaluation(), "job.yaml": task("job")})
    world.look()
    world.end("exam", "failed")
    world.tend()
    assert world.condition() == ("Stalled", "CanaryFailed")
    assert world.names() == ["a", "exam", "job"]
    assert all(name != "job" for name, _ in world.tasks())
    world.look()
    assert world.condition() == ("Stalled", "CanaryFailed"), "a look does not forgive it"


def test_a_kill_between_any_two_statements_of_the_way_back_leaves_all_or_nothing(
    world: World, good: str
) -> None:
    bad = world.push({"b.yaml": agent("b"), "a.yaml": agent("a", "Other.")})
    world.look()
    world.end("exam", "failed")
    before, kills = everything(world), 0
    while killed(world, kills + 1):
        kills += 1
        assert everything(world) == before, "half of a way back was left"
        world.started()
    assert kills > 15, "the way back has more statements than that"
    assert (world.state().applied_commit, world.state().attempted_commit) == (good, bad)
    assert world.names() == ["a", "exam"]
    assert world.results() == ["applied", "canary_failed", "reverted"]


class Killed(Exception):
    """The process is gone."""


def killed(world: World, at: int) -> bool:
    """Whether the n-th write of the way back was there to be killed at."""
    left = at

    def strike(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal left
        left -= statement.startswith(("INSERT", "UPDATE", "DELETE"))
        if left == 0:
            raise Killed

    event.listen(world.database._engine, "before_cursor_execute", strike)
    try:
        world.tend()
    except Killed:
        return True
    finally:
        event.remove(world.database._engine, "before_cursor_execute", strike)
    return False


def everything(world: World) -> list[list[tuple]]:
    tables = ("resource", "source", "history", "canary", "event", "audit_entry", "task")
    return [world.rows(f"SELECT * FROM {table}") for table in tables]


def test_schedules_of_a_revision_on_trial_do_not_start_anything(world: World) -> None:
    schedule = (
        "apiVersion: orloj.dev/v1\nkind: TaskSchedule\nmetadata:\n  name: often\nspec:\n"
        "  task_ref: job\n  schedule: '* * * * *'\n"
    )
    world.now_us = clock.now_us()
    world.push(
        {"a.yaml": agent("a"), "job.yaml": task("job", mode="template")}
        | {"s.yaml": schedule, "exam.yaml": evaluation()}
    )
    world.look()
    schedules = Schedules(world.database, decisions.cancel)
    later_us = world.now_us + 120 * SECOND_US
    assert schedules.tend(later_us) is None, "it must not be asked again and again"
    assert [name for name, _ in world.tasks()] == ["exam"]
    world.end("exam", "succeeded")
    world.tend()
    assert schedules.tend(later_us) is not None
    assert "job" in [name for name, _ in world.tasks()]


def test_an_evaluation_in_mode_run_is_queued_once(world: World) -> None:
    world.push({"a.yaml": agent("a"), "x.yaml": task("x", canary="true")})
    world.look()
    assert world.tasks() == [("x", "pending")]
