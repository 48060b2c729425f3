"""A worker is replaced without a lost task: it takes nothing new, and leaves when empty."""

import json
from typing import Any

import pytest
from home import Home

from runner.contract.kinds import Key

pytestmark = pytest.mark.story


def orloj(home: Home, *arguments: str) -> str:
    done = home.orloj(*arguments)
    done.check_returncode()
    return done.stdout


def listed(home: Home) -> list[Any]:
    return json.loads(orloj(home, "workers", "--json"))


@pytest.fixture
def agents(home: Home) -> tuple[Key, Key]:
    """One that takes its time, and one that does not."""
    for delay in ("4s", "30ms"):
        script = {name: [{"reply": "done", "delay": delay}] for name in ("slow", "quick")}
        home.record(
            "ModelEndpoint",
            f"takes-{delay}",
            {"provider": "mock", "default_model": "m", "script": script},
        )
    return (
        home.record("Agent", "slow", {"model_ref": "takes-4s"}),
        home.record("Agent", "quick", {"model_ref": "takes-30ms"}),
    )


def test_a_drained_worker_ends_what_it_runs_and_takes_nothing_new(
    home: Home, agents: tuple[Key, Key]
) -> None:
    slow, quick = agents
    with home.runner(workers=1):
        home.until(lambda: home.rows("SELECT id FROM worker"))
        (running,) = home.submit(slow)
        home.wait([running], {"leased"})
        (before,) = listed(home)
        assert (before["state"], before["busy"]) == ("live", 1)
        assert before["memory_bytes"] > 1_000_000
        orloj(home, "worker", "drain", before["id"])
        after = home.submit(quick, 3)
        home.wait([running, *after], {"succeeded"})
        workers = dict(home.rows("SELECT task_id, worker FROM attempt"))
        assert len(workers) == len(home.rows("SELECT * FROM attempt")) == 4
        assert workers[running] == before["id"]
        assert before["id"] not in {workers[task] for task in after}
        assert home.rows("SELECT DISTINCT crashes, attempt FROM task") == [(0, 1)]
        home.until(lambda: [one["id"] for one in listed(home)] == [workers[after[0]]])


def test_a_rolling_restart_replaces_every_worker_and_loses_no_task(
    home: Home, agents: tuple[Key, Key]
) -> None:
    _, quick = agents
    with home.runner(workers=2, slots=4):
        home.until(lambda: home.rows("SELECT count(*) FROM worker") == [(2,)])
        before = {one["id"] for one in listed(home)}
        tasks = home.submit(quick, 200)
        orloj(home, "worker", "restart")
        assert before.isdisjoint(one["id"] for one in listed(home))
        home.wait(tasks, {"succeeded"})
    assert home.rows("SELECT outcome, count(*) FROM attempt GROUP BY 1") == [("succeeded", 200)]


def test_nobody_is_drained_without_a_runner_or_under_a_wrong_name(home: Home) -> None:
    done = home.orloj("worker", "drain", "x")
    # On a shared database the runner may be at work on another host.
    reason = "no worker 'x'" if home.database.shared else "no runner is running"
    assert (done.returncode, reason in done.stderr) == (1, True)
    with home.runner(workers=1):
        home.until(lambda: home.rows("SELECT id FROM worker"))
        done = home.orloj("worker", "drain", "x")
        assert (done.returncode, "no worker 'x'" in done.stderr) == (1, True)
