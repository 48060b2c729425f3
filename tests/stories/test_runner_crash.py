"""Whoever is killed, no task is lost, none is finished twice, no finished step is repeated.

Workers, the whole runner and the tools are real processes, and they are really killed.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received

from runner.contract import audit_check
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

NOTE, SEND = {"write": "notes"}, {"send": "mail"}


class Gate:
    """A tool's server that answers nobody until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.server = LocalServer(self._answer)

    def _answer(self, _: Received) -> Answer:
        while not self.opened.wait(0.01):
            if self.server.closing.is_set():
                return Answer(503)
        return Answer(200, b"through")

    @property
    def keys(self) -> list[str]:
        """The idempotency key of every call that arrived."""
        return [request.headers["Idempotency-Key"] for request in self.server.received]


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    with made.server.running():
        yield made


def mock(home: Home, **script: Any) -> None:
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "mock", "default_model": "m", "script": script},
    )


def gated(home: Home, gate: Gate, *, idempotent: bool) -> Key:
    """An agent that writes a note, waits at the gate, and says how it went."""
    mock(
        home,
        clerk=[
            {"calls": [{"tool": "note", "arguments": {"line": "once"}}, {"tool": "gate"}]},
            {"reply": "{result.1}, {result.2}"},
        ],
    )
    home.record(
        "Tool",
        "note",
        {
            "type": "python",
            "function": "append_record",
            "config": {"file": "notes.jsonl"},
            "requires": [NOTE],
        },
    )
    home.record(
        "Tool",
        "gate",
        {"endpoint": gate.server.url, "requires": [SEND], "idempotent": idempotent},
    )
    tools = [
        {"name": "note", "permissions": [NOTE]},
        {"name": "gate", "permissions": [SEND]},
    ]
    return home.record("Agent", "clerk", {"model": "m", "tools": tools})


def at_the_gate(home: Home, gate: Gate, calls: int = 1) -> None:
    home.until(lambda: len(gate.keys) >= calls)


def holder(home: Home, task: str) -> int:
    """The process that holds a task."""
    query = "SELECT w.pid FROM task t JOIN worker w ON w.id = t.holder WHERE t.id = ?"
    return int(home.rows(query, task)[0][0])


def worker_pids(home: Home) -> list[int]:
    return [row[0] for row in home.rows("SELECT pid FROM worker WHERE state = 'live'")]


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def notes(home: Home) -> int:
    """How often the note was really written."""
    return len((home.folder / "files" / "notes.jsonl").read_text().splitlines())


def outcomes(home: Home, task: str) -> list[str]:
    query = "SELECT outcome FROM attempt WHERE task_id = ? ORDER BY fence"
    return [row[0] for row in home.rows(query, task)]


def log_holds(home: Home) -> bool:
    with home.database.read() as connection:
        return audit_check.verify(connection).holds


@contextmanager
def two_workers(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    with home.runner(workers=2, drain_s=20) as runner:
        home.until(lambda: len(worker_pids(home)) == 2)
        yield runner


def test_another_worker_finishes_what_a_killed_one_began(home: Home, gate: Gate) -> None:
    agent = gated(home, gate, idempotent=True)
    with two_workers(home):
        (task,) = home.submit(agent)
        at_the_gate(home, gate)
        os.kill(holder(home, task), signal.SIGKILL)
        at_the_gate(home, gate, 2)
        gate.opened.set()
        home.wait([task], {"succeeded"})
    assert outcomes(home, task) == ["crashed", "succeeded"]
    assert notes(home) == 1, "a finished step was repeated"
    assert gate.keys == [f"{task}:3"] * 2
    assert home.rows("SELECT output, attempt, crashes FROM task") == [
        ("recorded 1, through", 1, 1)
    ]
    claimed = [entry for entry in home.entries(task) if entry["type"] == "task.claimed"]
    assert [entry["attempt"] for entry in claimed] == [1, 2]
    assert len({entry["actor"] for entry in claimed}) == 2
    assert log_holds(home)


def test_a_call_that_may_not_be_repeated_waits_for_a_person(home: Home, gate: Gate) -> None:
    agent = gated(home, gate, idempotent=False)
    with two_workers(home):
        (task,) = home.submit(agent)
        at_the_gate(home, gate)
        os.kill(holder(home, task), signal.SIGKILL)
        home.wait([task], {"unknown_outcome"})
        (other,) = home.submit(agent)
        at_the_gate(home, gate, 2)
        gate.opened.set()
        home.wait([other], {"succeeded"})
    assert gate.keys == [f"{task}:3", f"{other}:3"]
    (unknown,) = [entry for entry in home.entries(task) if entry["type"] == "action.unknown"]
    assert (unknown["tool"], unknown["step"], unknown["outcome"]) == ("gate", 3, "unknown")
    error = home.rows("SELECT error FROM task WHERE id = ?", task)[0][0]
    assert "during the call of gate (step 3)" in error


def test_a_call_that_ran_out_of_time_is_not_repeated_either(home: Home, gate: Gate) -> None:
    agent = gated(home, gate, idempotent=False)
    tools = [
        {"name": "note", "permissions": [NOTE]},
        {"name": "gate", "permissions": [SEND]},
    ]
    agent = home.record(
        "Agent", "clerk", {"model": "m", "tools": tools, "limits": {"timeout": "3s"}}
    )
    with home.runner(workers=1):
        (task,) = home.submit(agent, retry={"maxAttempts": 5})
        home.wait([task], {"unknown_outcome"})
    assert gate.keys == [f"{task}:3"]
    assert "action.unknown" in [entry["type"] for entry in home.entries(task)]


def test_a_killed_runner_takes_its_workers_along_and_the_next_one_goes_on(
    home: Home, gate: Gate
) -> None:
    agent = gated(home, gate, idempotent=True)
    with two_workers(home) as runner:
        (task,) = home.submit(agent)
        at_the_gate(home, gate)
        pids = worker_pids(home)
        runner.kill()
        killed_at = time.monotonic()
        home.until(lambda: all(gone(pid) for pid in pids), timeout_s=5)
        assert time.monotonic() - killed_at < 5.0
        runner.wait()
        assert home.state(task) == "leased"
    with home.runner(workers=1):
        at_the_gate(home, gate, 2)
        gate.opened.set()
        home.wait([task], {"succeeded"})
    assert notes(home) == 1
    assert outcomes(home, task) == ["crashed", "succeeded"]
    assert log_holds(home)


def test_a_worker_that_hangs_ends_with_its_killed_runner_and_acts_no_more(
    home: Home, gate: Gate
) -> None:
    agent = gated(home, gate, idempotent=False)
    with home.runner(workers=1) as runner:
        (task,) = home.submit(agent)
        at_the_gate(home, gate)
        hanging = holder(home, task)
        os.kill(hanging, signal.SIGSTOP)
        runner.kill()
        home.until(lambda: gone(hanging), timeout_s=5)


def test_a_worker_that_sleeps_past_its_lease_is_killed_and_its_task_saved(
    home: Home, gate: Gate
) -> None:
    agent = gated(home, gate, idempotent=True)
    with home.runner(workers=2, lease_s=1):
        home.until(lambda: len(worker_pids(home)) == 2)
        (task,) = home.submit(agent)
        at_the_gate(home, gate)
        sleeper = holder(home, task)
        os.kill(sleeper, signal.SIGSTOP)
        at_the_gate(home, gate, 2)
        gate.opened.set()
        home.wait([task], {"succeeded"})
        home.until(lambda: gone(sleeper))
    assert outcomes(home, task) == ["crashed", "succeeded"]
    assert notes(home) == 1


def test_a_busy_worker_keeps_its_lease(home: Home, gate: Gate) -> None:
    agent = gated(home, gate, idempotent=True)
    with home.runner(workers=1, lease_s=2):
        (task,) = home.submit(agent)
        at_the_gate(home, gate)
        query = "SELECT lease_until FROM task"
        first = home.rows(query)[0][0]
        home.until(lambda: home.rows(query)[0][0] > first + 3_000_000)
        gate.opened.set()
        home.wait([task], {"succeeded"})
    assert outcomes(home, task) == ["succeeded"]


def test_asked_to_stop_the_runner_finishes_what_runs_and_takes_nothing_new(
    home: Home, gate: Gate
) -> None:
    agent = gated(home, gate, idempotent=False)
    with home.runner(workers=1, slots=1, drain_s=20) as runner:
        home.submit(agent, 2)
        at_the_gate(home, gate)
        (running,) = home.rows("SELECT id FROM task WHERE state = 'leased'")[0]
        runner.send_signal(signal.SIGTERM)
        home.until(lambda: "pool_stopping" in (home.folder / "runner.log").read_text())
        home.submit(agent)
        gate.opened.set()
        assert runner.wait(timeout=20) == 0
    assert home.rows("SELECT id FROM task WHERE state = 'succeeded'") == [(running,)]
    assert home.rows("SELECT count(*) FROM task WHERE state = 'pending'") == [(2,)]


@pytest.mark.parametrize(
    ("drain_s", "signals"),
    [(0, [signal.SIGTERM]), (60, [signal.SIGTERM, signal.SIGINT])],
    ids=["no drain", "asked twice"],
)
def test_out_of_patience_the_runner_gives_leases_back_and_charges_no_attempt(
    home: Home, gate: Gate, drain_s: int, signals: list[signal.Signals]
) -> None:
    agent = gated(home, gate, idempotent=True)
    with home.runner(workers=1, drain_s=drain_s) as runner:
        (task,) = home.submit(agent)
        at_the_gate(home, gate)
        for number in signals:
            runner.send_signal(number)
        assert runner.wait(timeout=20) == 0
    assert home.rows("SELECT state, attempt, crashes, holder FROM task") == [
        ("pending", 0, 0, None)
    ]
    assert outcomes(home, task) == ["released"]


def test_a_task_that_kills_its_workers_dies_alone(home: Home) -> None:
    (home.folder / "orloj.toml").write_text('[tools]\ncommands = ["/bin/sh"]\n')
    mock(
        home,
        killer=[{"calls": [{"tool": "murder"}]}, {"reply": "never"}],
        neighbour=[{"reply": "alive", "delay": "500ms"}],
    )
    home.record(
        "Tool",
        "murder",
        {
            "type": "command",
            "command": ["/bin/sh", "-c", "kill -9 $PPID"],
            "runtime": {"isolation": "none"},  # In a sandbox it would not find the worker.
            "requires": [NOTE],
            "idempotent": True,
        },
    )
    grant = [{"name": "murder", "permissions": [NOTE]}]
    killer = home.record("Agent", "killer", {"model": "m", "tools": grant})
    neighbour = home.record("Agent", "neighbour", {"model": "m"})
    with home.runner(workers=1, slots=8, crashes_max=3) as runner:
        (poison,) = home.submit(killer)
        neighbours = home.submit(neighbour, 7)
        home.wait([poison], {"dead"})
        home.wait(neighbours, {"succeeded", "dead", "failed"})
        assert runner.poll() is None
    assert {home.state(task) for task in neighbours} == {"succeeded"}
    assert outcomes(home, poison) == ["crashed"] * 3
    finished = [entry for entry in home.entries(poison) if entry["type"] == "task.finished"]
    assert [entry["outcome"] for entry in finished] == ["dead"]


def test_a_worker_that_was_killed_is_followed_by_another(home: Home) -> None:
    mock(home)
    agent = home.record("Agent", "clerk", {"model": "m"})
    with home.runner(workers=1):
        home.until(lambda: worker_pids(home))
        for _ in range(2):
            (victim,) = worker_pids(home)
            os.kill(victim, signal.SIGKILL)
            home.until(lambda victim=victim: worker_pids(home) not in ([], [victim]))
        home.wait(home.submit(agent), {"succeeded"})


def test_a_second_runner_of_a_home_is_refused_and_told_why(home: Home) -> None:
    mock(home)
    with home.runner(workers=1) as first:
        home.until(lambda: worker_pids(home))
        second = subprocess.run(
            [sys.executable, "-m", "runner", str(home.folder)],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert first.poll() is None
    assert second.returncode == 1
    assert second.stderr == (
        f"the runner of this home is already running as process {first.pid}; "
        "stop it first, or use another --home\n"
    )


def test_many_tasks_and_many_kills_and_every_task_is_finished_once(home: Home) -> None:
    mock(
        home,
        clerk=[
            {"calls": [{"tool": "note", "arguments": {"n": "{input.n}"}}], "delay": "5ms"},
            {"reply": "{input.n}", "delay": "5ms"},
        ],
    )
    home.record(
        "Tool",
        "note",
        {
            "type": "python",
            "function": "append_record",
            "config": {"file": "notes.jsonl"},
            "requires": [NOTE],
            "idempotent": True,
        },
    )
    grant = [{"name": "note", "permissions": [NOTE]}]
    agent = home.record("Agent", "clerk", {"model": "m", "tools": grant})
    with home.runner(workers=3, slots=8, crashes_max=100):
        home.until(lambda: len(worker_pids(home)) == 3)
        tasks = [home.submit(agent, input={"n": str(n)})[0] for n in range(200)]
        killed: set[int] = set()
        busy = "SELECT DISTINCT w.pid FROM worker w JOIN task t ON t.holder = w.id"
        for kill in range(1, 5):
            done = f"SELECT count(*) >= {kill * 30} FROM task WHERE state = 'succeeded'"
            home.until(lambda done=done: home.rows(done)[0][0])
            pids = {row[0] for row in home.rows(busy)} - killed
            for pid in sorted(pids)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        home.wait(tasks, {"succeeded"})
    assert home.rows("SELECT state, count(*) FROM task GROUP BY state") == [("succeeded", 200)]
    once = Counter(
        entry["task"] for entry in home.entries() if entry["type"] == "task.finished"
    )
    assert once == Counter(tasks)
    per_step = home.rows(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM audit_entry"
        " WHERE type = 'action.executed' GROUP BY task) AS counted"
    )
    assert per_step == [(3,)], "a step that was executed was executed again"
    crashed = home.rows("SELECT count(*) FROM attempt WHERE outcome = 'crashed'")[0][0]
    assert crashed > 0, "nobody was killed in the middle of anything"
    assert notes(home) <= 200 + crashed
    assert log_holds(home)
