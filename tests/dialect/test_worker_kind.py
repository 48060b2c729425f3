"""A Worker tells what the host of its name offers, and bounds what it runs at once.

The runner here is a real one; what it takes is told by what stays pending.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home

from reconciler import manifest
from runner import order
from runner.claim import Offer, Slots
from runner.contract.kinds import Worker
from runner.contract.settings import Runner

WORKER = Worker.model_validate(
    {"region": "eu", "capabilities": {"gpu": True, "supported_models": ["m"]}}
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    made.record(
        "ModelEndpoint",
        "default",
        {
            "provider": "mock",
            "default_model": "m",
            "script": {"clerk": [{"reply": "done", "delay": "200ms"}]},
        },
    )
    yield made
    made.close()


def test_a_host_offers_what_its_worker_declares_where_its_settings_say_nothing() -> None:
    assert order.offer(Runner(), WORKER) == Offer("eu", True, frozenset({"m"}))
    said = Runner(region="us", models=["n"])
    assert order.offer(said, WORKER) == Offer("us", True, frozenset({"n"}))
    assert order.offer(Runner(), None) == Offer()


def test_no_more_slots_are_left_than_the_bound_allows() -> None:
    slots = Slots([("a", 0, 4), ("b", 1, 4)])
    slots.leave(2)
    assert len(slots) == 2
    slots.leave(-1)
    assert len(slots) == 0


def test_a_host_is_of_no_namespace() -> None:
    text = (
        b"apiVersion: orloj.dev/v1\nkind: Worker\n"
        b"metadata: {name: a, namespace: team}\nspec: {region: eu}\n"
    )
    (problem,) = manifest.parse(text, "w.yaml", lambda value: ("", "")).problems
    assert (problem.line, problem.column) == (3, 32)
    assert "of no namespace" in problem.message


def test_a_worker_that_is_recorded_while_the_runner_works_lets_the_task_run(
    home: Home,
) -> None:
    clerk = home.record("Agent", "clerk", {"model": "m"})
    with home.runner(workers=1, name="host-one", lease_s="1"):
        (task,) = home.submit(clerk, requirements={"region": "eu", "gpu": True})
        home.wait(home.submit(clerk), {"succeeded"})
        assert home.state(task) == "pending"
        home.record("Worker", "other-host", {"region": "eu", "capabilities": {"gpu": True}})
        home.wait(home.submit(clerk), {"succeeded"})
        assert home.state(task) == "pending"
        home.record("Worker", "host-one", {"region": "eu", "capabilities": {"gpu": True}})
        home.wait([task], {"succeeded"})


def test_the_workers_of_a_host_run_no_more_at_once_than_declared(home: Home) -> None:
    clerk = home.record("Agent", "clerk", {"model": "m"})
    home.record("Worker", "host-one", {"max_concurrent_tasks": 2})
    with home.runner(workers=2, name="host-one"):
        home.wait(home.submit(clerk, 8), {"succeeded"})
    spans = home.rows(
        "SELECT type, task FROM audit_entry WHERE type IN ('task.claimed', 'task.finished')"
        " ORDER BY seq"
    )
    most = running = 0
    for kind, _ in spans:
        running += 1 if kind == "task.claimed" else -1
        most = max(most, running)
    assert most == 2
