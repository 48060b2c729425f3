"""What a person decides reaches a task wherever it is, and nothing is done twice or after.

Real runner, real tools: a running call is cut off, its program dies, nothing of it is
written afterwards; a call of unknown outcome has happened exactly as often as was said.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received

from runner import decisions
from runner.contract import audit_check, clock, wake
from runner.contract.kinds import Key
from runner.task_record import Decided

pytestmark = pytest.mark.story

GRANT = {"write": "things"}


def mock(home: Home, **script: Any) -> None:
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)


def agent(home: Home, *tools: str) -> Key:
    granted = [{"name": name, "permissions": [GRANT]} for name in tools]
    return home.record("Agent", "clerk", {"model": "m", "tools": granted})


def decide(home: Home, what: Any, task: str, **more: Any) -> Decided:
    """As the doors do it: one transaction, then a knock."""
    subject: Any = task if what is decisions.resolve else [task]
    with home.database.write() as connection:
        now_us = clock.now_us()
        done = what(connection, subject, actor="person:ada", now_us=now_us, **more)
    wake.knock(home.folder / "run", wake.RUNNER)
    return done if isinstance(done, Decided) else done[0]


def types(home: Home, task: str) -> list[str]:
    return [entry["type"] for entry in home.entries(task)]


def group(word: str) -> set[str]:
    """The processes of this host with a word in their command line that have not ended."""
    found = set()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in line.read_bytes():
                found.add(line.parent.name)
    return found


def slot_is_free(home: Home, subject: Key) -> None:
    """With one worker of one slot: the next task can only run when the slot is free."""
    home.wait(home.submit(subject), {"succeeded"}, timeout_s=5)


def test_a_cancelled_turn_of_a_model_frees_its_slot_and_writes_nothing_more(
    home: Home,
) -> None:
    mock(home, clerk=[{"reply": "slow", "delay": "60s"}], quick=[{"reply": "here"}])
    slow = agent(home)
    quick = home.record("Agent", "quick", {"model": "m"})
    with home.runner(workers=1, slots=1):
        (task,) = home.submit(slow)
        home.until(lambda: "action.decided" in types(home, task))
        started = time.monotonic()
        assert decide(home, decisions.cancel, task).was == "running"
        slot_is_free(home, quick)
        assert time.monotonic() - started < 5.0
        written = home.entries(task)
    assert home.state(task) == "cancelled"
    assert home.entries(task) == written
    assert types(home, task)[-1] == "task.cancelled"
    assert "action.unknown" not in types(home, task)
    assert written[-1]["actor"] == "person:ada"
    assert (written[-1]["step"], written[-1]["agent"]) == (1, "clerk")


def test_a_cancelled_program_is_killed_with_its_group_and_noted_as_unknown(
    home: Home,
) -> None:
    (home.folder / "orloj.toml").write_text('[tools]\ncommands = ["/bin/sh"]\n')
    (home.folder / "files").mkdir()
    mock(
        home, clerk=[{"calls": [{"tool": "sleep"}]}, {"reply": "never"}], quick=[{"reply": "x"}]
    )
    length = f"60.{os.getpid()}"  # By which to find it: in a sandbox numbers are others.
    script = f"sleep {length} & echo > begun; wait; echo late > late"
    tool = {"type": "command", "command": ["/bin/sh", "-c", script], "requires": [GRANT]}
    home.record("Tool", "sleep", tool)
    slow = agent(home, "sleep")
    quick = home.record("Agent", "quick", {"model": "m"})
    begun = home.folder / "files" / "begun"
    with home.runner(workers=1, slots=1):
        (task,) = home.submit(slow)
        home.until(begun.exists)
        assert group(length)
        started = time.monotonic()
        decided = decide(home, decisions.cancel, task)
        home.until(lambda: not group(length), timeout_s=5)
        assert time.monotonic() - started < 5.0
        slot_is_free(home, quick)
    assert (decided.step, decided.call) == (2, "sleep")
    assert types(home, task)[-2:] == ["action.unknown", "task.cancelled"]
    assert not (home.folder / "files" / "late").exists()
    assert home.rows("SELECT outcome FROM attempt WHERE task_id = ?", task) == [("cancelled",)]
    # Queued again, it must not call again by itself.
    assert decide(home, decisions.retry, task).state == "unknown_outcome"


class Counted:
    """A tool's server that counts its calls, and answers only when it is opened."""

    def __init__(self) -> None:
        self.open = False
        self.server = LocalServer(self._answer)

    def _answer(self, _: Received) -> Answer:
        while not self.open:
            if self.server.closing.wait(0.01):
                return Answer(503)
        return Answer(200, b"delivered")

    @property
    def calls(self) -> int:
        return len(self.server.received)


@pytest.fixture
def counted() -> Iterator[Counted]:
    made = Counted()
    with made.server.running():
        yield made


@pytest.fixture
def interrupted(home: Home, counted: Counted) -> Iterator[str]:
    """A task whose call was under way when its worker was killed; the runner goes on."""
    mock(home, clerk=[{"calls": [{"tool": "send"}]}, {"reply": "it said: {result.1}"}])
    home.record("Tool", "send", {"endpoint": counted.server.url, "requires": [GRANT]})
    subject = agent(home, "send")
    with home.runner(workers=1):
        (task,) = home.submit(subject)
        home.until(lambda: counted.calls == 1)
        (row,) = home.rows("SELECT w.pid FROM task t JOIN worker w ON w.id = t.holder")
        os.kill(row[0], signal.SIGKILL)
        home.wait([task], {"unknown_outcome"})
        counted.open = True
        yield task


@pytest.mark.parametrize(
    ("result", "told"),
    [("sent at noon", "sent at noon"), (None, decisions.CONFIRMED)],
    ids=["with its result", "without"],
)
def test_a_call_that_ran_is_not_made_again_and_the_task_goes_on_behind_it(
    home: Home, interrupted: str, counted: Counted, result: str | None, told: str
) -> None:
    decide(home, decisions.resolve, interrupted, ran=True, result=result)
    home.wait([interrupted], {"succeeded"})
    assert counted.calls == 1
    assert home.rows("SELECT output FROM task") == [(f"it said: {told}",)]
    (entry,) = [e for e in home.entries(interrupted) if e["type"] == "task.resolved"]
    assert (entry["outcome"], entry["step"], entry["tool"]) == ("ran", 2, "send")
    assert entry["actor"] == "person:ada"


def test_a_call_that_did_not_run_is_made_once_more_under_the_same_key(
    home: Home, interrupted: str, counted: Counted
) -> None:
    decide(home, decisions.resolve, interrupted, ran=False, result=None)
    home.wait([interrupted], {"succeeded"})
    keys = [request.headers["Idempotency-Key"] for request in counted.server.received]
    assert keys == [f"{interrupted}:2"] * 2
    assert home.rows("SELECT output FROM task") == [("it said: delivered",)]
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


def test_a_dead_task_that_is_retried_repeats_no_finished_step(home: Home) -> None:
    """Its model fails at the second turn, after a note was written; then it is mended."""
    note = {"type": "python", "function": "append_record", "config": {"file": "notes"}}
    home.record("Tool", "note", {**note, "requires": [GRANT]})
    call = {"calls": [{"tool": "note", "arguments": {"line": "once"}}]}
    mock(home, clerk=[call, {"reply": "late", "delay": "60s"}])
    subject = home.record(
        "Agent",
        "clerk",
        {
            "model": "m",
            "tools": [{"name": "note", "permissions": [GRANT]}],
            "limits": {"timeout": "500ms"},
        },
    )
    with home.runner(workers=1):
        (task,) = home.submit(subject)
        home.wait([task], {"dead"})
        before = home.rows("SELECT number, started_at FROM step WHERE phase = 'done'")
        assert len(before) == 2
        assert decide(home, decisions.retry, task).was == "dead"
        home.wait([task], {"dead"})
    assert len((home.folder / "files" / "notes").read_text().splitlines()) == 1
    assert home.rows("SELECT number, started_at FROM step WHERE phase = 'done'") == before
    assert home.rows("SELECT fence, attempt, crashes FROM task") == [(2, 1, 0)]
    assert types(home, task).count("action.executed") == 2


def test_a_task_cancelled_and_retried_in_one_moment_is_done_once(home: Home) -> None:
    """The same worker is given it again while its earlier turn may still be under way."""
    mock(home, clerk=[{"reply": "said", "delay": "300ms"}])
    subject = agent(home)
    with home.runner(workers=1):
        (task,) = home.submit(subject)
        home.until(lambda: "action.decided" in types(home, task))
        with home.database.write() as connection:
            by: dict[str, Any] = {"actor": "person:ada", "now_us": clock.now_us()}
            decisions.cancel(connection, [task], **by)
            decisions.retry(connection, [task], **by)
        home.wait([task], {"succeeded"})
    query = "SELECT outcome FROM attempt ORDER BY fence"
    assert home.rows(query) == [("cancelled",), ("succeeded",)]
    assert types(home, task).count("action.executed") == 1
    assert types(home, task).count("task.finished") == 1
