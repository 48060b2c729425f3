"""`cancel`, `retry`, `wait`, `task resolve` and `dead` do what they say, and say what they did.

A decision that does not fit is an error in words and changes nothing.
"""

import io
import json

import pytest
from home import Home

from runner.contract import clock


@pytest.fixture
def agent(home: Home):
    script = {"clerk": [{"reply": "done"}]}
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)
    return home.record("Agent", "clerk", {"model": "m"})


def queued(home: Home, agent, state: str = "pending", count: int = 1) -> list[str]:
    """Tasks in a state, as if the runner had brought them there a day ago."""
    ids = home.submit(agent, count=count)
    ended_us = clock.now_us() - 86_400_000_000
    with home.database.write() as connection:
        for task in ids:
            connection.exec_driver_sql(
                "UPDATE task SET state = ?, finished_at = ?, error = 'why' WHERE id = ?",
                (state, ended_us if state in {"dead", "failed"} else None, task),
            )
    return ids


@pytest.mark.parametrize(
    ("command", "was", "state"),
    [
        (["cancel"], "pending", "cancelled"),
        (["cancel"], "waiting_approval", "cancelled"),
        (["retry"], "failed", "pending"),
        (["dead", "retry"], "dead", "pending"),
        (["dead", "drop", "--yes"], "dead", "dropped"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_decision_says_what_it_did_by_the_beginning_of_an_id(
    home: Home, orloj, agent, command: list[str], was: str, state: str
) -> None:
    one, other = queued(home, agent, was), queued(home, agent, was)
    told = orloj(*command, one[0])
    assert (told.code, told.out) == (0, f"{one[0]}  {was} -> {state}\n")
    assert "Next: orloj" in told.err
    told = orloj(*command, other[0].upper()[:-1], "--json")
    expected = {"id": other[0], "was": was, "state": state, "step": None, "call": None}
    assert json.loads(told.out) == [expected]
    assert home.state(one[0]) == home.state(other[0]) == state


@pytest.mark.parametrize(
    ("command", "state", "words"),
    [
        (["cancel"], "dead", "is dead and cannot be cancelled (`orloj retry"),
        (["retry"], "pending", "is pending and cannot be retried (`orloj cancel"),
        (["dead", "drop", "--yes"], "unknown_outcome", "orloj task resolve"),
        (["dead", "show"], "pending", "is pending, no dead letter"),
        (["task", "resolve", "--ran"], "failed", "is failed and cannot be resolved"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_state_is_an_error_that_names_the_fitting_command(
    home: Home, orloj, agent, command: list[str], state: str, words: str
) -> None:
    (task,) = queued(home, agent, state)
    before = home.rows("SELECT * FROM task"), home.entries()
    told = orloj(*command, task)
    assert (told.code, told.out) == (1, "")
    assert words in told.err
    assert (home.rows("SELECT * FROM task"), home.entries()) == before


def test_resolve_asks_for_one_of_two_words(home: Home, orloj, agent) -> None:
    (task,) = queued(home, agent, "unknown_outcome")
    assert "--ran or --not-ran" in orloj("task", "resolve", task).err
    assert "goes with --ran" in orloj("task", "resolve", task, "--not-ran", "--result", "x").err
    assert home.state(task) == "unknown_outcome"


def test_task_with_an_id_is_short_for_task_show(home: Home, orloj, agent) -> None:
    (task,) = queued(home, agent)
    short, long = orloj("task", task, "--json"), orloj("task", "show", task, "--json")
    assert short == long == orloj("task", "--json", task)
    assert json.loads(short.out)["id"] == task


def test_dead_letters_are_listed_by_filter(home: Home, orloj, agent) -> None:
    (dead,) = queued(home, agent, "dead")
    (failed,) = queued(home, agent, "failed")

    def found(*filters: str) -> set[str]:
        told = orloj("dead", "list", "--json", *filters)
        return {task["id"] for task in json.loads(told.out)}

    assert found() == {dead}
    assert found("--failed", "--agent", "default/clerk") == {dead, failed}
    assert found("--older", "23h") == {dead}
    assert found("--older", "25h") == found("--agent", "other") == set()
    listed = orloj("dead", "list").out
    assert dead in listed
    assert "why" in listed
    assert failed not in listed
    assert orloj("dead", "show", dead).code == 0


def test_in_bulk_every_letter_is_reached_once(
    home: Home, orloj, agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.cli.dead.BATCH", 10)
    ids = queued(home, agent, "dead", count=25)
    told = orloj("dead", "retry", "--all")
    assert told.code == 0
    assert "and 5 more" in told.out
    assert {home.state(task) for task in ids} == {"pending"}
    retried = [entry for entry in home.entries() if entry["type"] == "task.retried"]
    assert sorted(entry["task"] for entry in retried) == sorted(ids)
    assert "No task fits" in orloj("dead", "retry", "--all").out


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_in_bulk_it_must_be_clear_what_is_meant(home: Home, orloj, agent, command: str) -> None:
    (task,) = queued(home, agent, "dead")
    assert "--all" in orloj("dead", command).err
    assert "not both" in orloj("dead", command, task, "--all").err
    assert home.state(task) == "dead"


def test_dropping_asks_first(home: Home, orloj, agent, monkeypatch) -> None:
    (task,) = queued(home, agent, "dead")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    told = orloj("dead", "drop", "--all")
    assert told.code == 1
    assert "add --yes" in told.err
    assert home.state(task) == "dead"


def test_waiting_tells_success_failure_and_time_apart(home: Home, orloj, agent) -> None:
    good = home.submit(agent, count=2)
    assert orloj("wait", *good, "--timeout", "0.05").code == 124
    with home.runner(workers=1):
        told = orloj("wait", *good, "--json", "--timeout", "30")
    assert told.code == 0, told.err
    assert [task["state"] for task in json.loads(told.out)] == ["succeeded"] * 2
    (bad,) = queued(home, agent, "cancelled")
    (parked,) = queued(home, agent, "unknown_outcome")
    assert orloj("wait", good[0], bad).code == 1
    assert orloj("wait", parked).code == 1
