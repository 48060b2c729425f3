"""However many processes and hosts ask at once, a minute never sees more than its limit.

Real runners and workers ask a real endpoint, and what a minute saw is added up twice: from
the audit log, and from what the endpoint was asked and answered.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home import Home
from hosts import RunnerHost, World
from local_server import Answer, Received
from model_server import ModelServer, completion, failure

from runner.contract.kinds import Key
from runner.limit.worst_window import worst_windows

pytestmark = pytest.mark.story

LIMIT = 3_000
USED = (60, 40)
OUTPUT_MAX = 50
MINUTE_S = 60.0


class Meter:
    """An endpoint that counts what it is asked, and when."""

    def __init__(self) -> None:
        self.uses: list[tuple[float, int]] = []
        self._lock = threading.Lock()

    def __call__(self, request: Received) -> Answer:
        with self._lock:
            tokens = (USED[0], USED[1] - len(self.uses) % 7)
            self.uses.append((time.time(), sum(tokens)))
        assert json.loads(request.body)["max_tokens"] == OUTPUT_MAX
        return completion("ok", None, tokens)

    def worst(self) -> int:
        """The most that any 60 seconds saw."""
        ends = [at for at, _ in self.uses]
        return max(
            sum(used for at, used in self.uses if end - MINUTE_S <= at <= end) for end in ends
        )


def clerk(home: Home, url: str, limit: int = LIMIT) -> Key:
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "openai-compatible", "base_url": url + "/v1", "default_model": "m"},
    )
    spec = {"limits": {"max_output_tokens": OUTPUT_MAX}}
    return home.record(
        "Agent", "clerk", {**spec, "model": "m", "governance": {"maxTokensPerMinute": limit}}
    )


def settled_down(home: Home) -> None:
    """Wait until every task is over or waits for tokens."""
    query = "SELECT count(*) FROM task WHERE state IN ('pending', 'leased', 'backing_off')"
    home.until(lambda: home.rows(query) == [(0,)], 120)


def prove(home: Home, meter: Meter, limit: int = LIMIT) -> int:
    """The worst minute, which the log and the endpoint agree is no more than the limit."""
    (worst,) = worst_windows(home.entries())
    assert worst.holds
    assert worst.used <= limit
    assert meter.worst() <= limit
    return worst.used


def test_a_minute_of_eight_processes_is_exactly_at_its_limit(home: Home) -> None:
    turn = {"reply": "ok", "input_tokens": 60, "output_tokens": 40, "delay": "5ms"}
    script = {"provider": "mock", "default_model": "m", "script": {"clerk": [turn]}}
    home.record("ModelEndpoint", "default", script)
    rules = {"maxTokensPerMinute": LIMIT}
    home.submit(home.record("Agent", "clerk", {"model": "m", "governance": rules}), 200)
    with home.runner(workers=8, slots=4):
        settled_down(home)
    (worst,) = worst_windows(home.entries())
    assert (worst.used, worst.holds) == (LIMIT, True)


def test_a_minute_at_a_real_endpoint_is_never_over_its_limit(home: Home) -> None:
    meter = Meter()
    with ModelServer(meter).running() as model:
        agent = clerk(home, model.url)
        home.submit(agent, 60)
        with home.runner(workers=2, slots=8):
            settled_down(home)
            waiting = home.rows("SELECT count(*) FROM task WHERE state = 'waiting_tokens'")
            listed = json.loads(home.orloj("limits", "clerk", "--verify", "--json").stdout)
    used = prove(home, meter)
    assert used > LIMIT * 0.85, "what fits beside a reservation was not used"
    assert listed[0]["waiting"] == waiting[0][0] > 0
    assert (listed[0]["worst"], listed[0]["holds"]) == (used, True)
    parked = [one for one in home.entries() if one["type"] == "task.parked"]
    assert len(parked) < 2 * 60, "tasks were woken to be parked again"
    status = home.orloj("status").stdout
    assert f"{waiting[0][0]} tasks wait for tokens_per_minute of default/clerk" in status
    tasks = home.orloj("tasks", "--state", "waiting_tokens").stdout
    assert "waits for maxTokensPerMinute of default/clerk (agents/clerk.yaml:1)" in tasks


def test_a_call_whose_worker_is_killed_is_charged_as_reserved(home: Home) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hanging(_: Received) -> Answer:
        asked.set()
        go_on.wait(30)
        return completion("late")

    with ModelServer(hanging, completion("ok", None, USED)).running() as model:
        agent = clerk(home, model.url)
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            assert asked.wait(30)
            ((pid,),) = home.rows("SELECT pid FROM worker")
            os.kill(pid, signal.SIGKILL)
            home.wait([task], {"succeeded"})
            go_on.set()
    entries = [one for one in home.entries(task) if one["type"].startswith("tokens.")]
    assert [one["type"] for one in entries] == ["tokens.reserved", "tokens.settled"] * 2
    assert entries[1]["charges"] == entries[0]["charges"]
    assert [one["outcome"] for one in entries[1::2]] == ["estimate", "usage"]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Home]:
    """A home where the database makes no difference."""
    made = Home(tmp_path / "home")
    yield made
    made.close()


def refused(_: Received) -> Answer:
    return failure(400)


def broken(_: Received) -> Answer:
    return failure(500)


def silent(_: Received) -> Answer:
    found = json.loads(completion("ok").body)
    del found["usage"]
    return Answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("answer", "charged"),
    [(refused, "nothing"), (broken, "estimate"), (silent, "estimate")],
    ids=["refused", "broke", "counts nothing"],
)
def test_how_a_call_ends_decides_what_it_is_charged(
    alone: Home, answer: Any, charged: str
) -> None:
    with ModelServer(answer).running() as model:
        agent = clerk(alone, model.url)
        with alone.runner(workers=1):
            (task,) = alone.submit(agent)
            alone.wait([task], {"succeeded", "failed", "dead"})
    (reserved, settled) = [
        one for one in alone.entries(task) if one["type"].startswith("tokens.")
    ]
    assert settled["outcome"] == charged
    amount = settled["charges"][0][2]
    assert amount == (0 if charged == "nothing" else reserved["charges"][0][2])


def test_an_endpoint_out_of_reach_costs_nothing(alone: Home) -> None:
    agent = clerk(alone, "http://127.0.0.1:1")
    with alone.runner(workers=1):
        (task,) = alone.submit(agent)
        alone.wait([task], {"failed", "dead"})
    assert alone.rows("SELECT amount FROM reservation") == [(0,)]


def test_a_call_that_never_fits_ends_its_task_with_the_line_that_says_so(alone: Home) -> None:
    with ModelServer(completion("ok")).running() as model:
        agent = clerk(alone, model.url, limit=20)
        with alone.runner(workers=1):
            (task,) = alone.submit(agent)
            alone.wait([task], {"failed"})
        assert not model.received
    ((error,),) = alone.rows("SELECT error FROM task")
    assert "maxTokensPerMinute of default/clerk (agents/clerk.yaml:1) is 20" in error
    assert "waiting does not help" in error


@pytest.fixture
def hosts(tmp_path: Path, postgresql_url: str) -> Iterator[tuple[Home, list[RunnerHost]]]:
    shared = Home(tmp_path / "shared", postgresql_url)
    world = World(tmp_path / "world")
    made = [
        RunnerHost(tmp_path / name, postgresql_url, world, workers=1, slots=8)
        for name in ("one", "two")
    ]
    yield shared, made
    shared.close()


def test_two_hosts_share_one_limit(hosts: tuple[Home, list[RunnerHost]]) -> None:
    home, (one, two) = hosts
    meter = Meter()
    with ModelServer(meter).running() as model:
        agent = clerk(home, model.url)
        with one.running(), two.running():
            # One that is not up yet would find everything done.
            home.until(lambda: len(home.rows("SELECT DISTINCT host FROM worker")) == 2)
            home.submit(agent, 60)
            settled_down(home)
    assert prove(home, meter) > LIMIT * 0.85
    workers = {one["actor"] for one in home.entries() if one["type"] == "tokens.reserved"}
    assert len(workers) > 1
