"""A push says what becomes of the tasks under way, and so it happens: to these and no others.

They finish on what they began under, or are cancelled in the transaction of the change, or
the change waits for them. Most of it is told to a database; the rest to a daemon and a runner.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home
from pushed import SECOND_US, World, agent, manifest

from reconciler.condition import RECONCILING, STALLED
from reconciler.in_flight_rows import IN_FLIGHT
from reconciler.reconcile import Reconciler
from reconciler.report import Outcome
from runner import decisions, queue
from runner.claim import Held
from runner.contract import submission
from runner.contract.kinds import Key
from runner.contract.settings import Settings, Source
from runner.contract.submission import Submission
from runner.pinning import Pins

MODEL = manifest("ModelEndpoint", "gpt-4", "{provider: mock, default_model: m}")
TOOL = "{type: http, endpoint: 'http://x', requires: [{read: x}]%s}"
CLERK = Key("default", "Agent", "clerk")

AGAIN_US = 3 * SECOND_US
"""After which what waits is looked at again."""


class Office(World):
    """A world in which tasks can be under way; nobody runs them."""

    def started(self, **source: Any) -> Reconciler:
        self.settings |= source
        settings = Source(**({"url": self.repository.url} | self.settings))
        return Reconciler(
            Settings(home=self.home, source=settings), self.database, cancel=decisions.cancel
        )

    def begin(self, subject: Key = CLERK, state: str = "leased", **more: Any) -> str:
        """A task of a subject that a worker has begun, as a dispatcher writes it."""
        with self.database.write() as connection:
            work = Submission(subject=subject, actor="person:test", **more)
            (task,) = submission.submit(connection, [work], "a" * 40, self.now_us)
            pins = Pins(connection)
            pins.look()
            (free,) = queue.claimable(connection, [task])
            manifests, commit = pins.pin(free)
            held = Held(
                *(task, "w1", 1, 1, 0, {}, commit, manifests, free.task_name),
                subject="/".join(subject),
            )
            queue.claim(connection, [held], "here", self.now_us + SECOND_US, self.now_us)
            if state != "leased":
                connection.exec_driver_sql(
                    "UPDATE task SET state = ?, holder = NULL, lease_host = NULL,"
                    " lease_until = NULL WHERE id = ?",
                    (state, task),
                )
        return task

    def wait_in_line(self, subject: Key = CLERK) -> str:
        """A task that nobody began."""
        with self.database.write() as connection:
            work = Submission(subject=subject, actor="person:test")
            (task,) = submission.submit(connection, [work], "a" * 40, self.now_us)
        return task

    def end(self, task: str) -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE task SET state = 'succeeded' WHERE id = ?", (task,)
            )

    def states(self, *tasks: str) -> list[str]:
        return [self.rows("SELECT state FROM task WHERE id = ?", task)[0][0] for task in tasks]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.database.close()


def staff(prompt: str = "Be brief.", **more: str) -> dict[str, str | None]:
    """An agent and its model."""
    return {"clerk.yaml": agent("clerk", prompt, **more), "model.yaml": MODEL}


PARKED = ("backing_off", "waiting_approval", "waiting_tokens", "unknown_outcome", "pending")


def test_tasks_go_on_unless_the_manifest_says_otherwise(office: Office) -> None:
    office.push(staff())
    office.look()
    task = office.begin()
    office.push(staff("Be long."))
    assert office.look().outcome is Outcome.APPLIED
    assert office.states(task) == ["leased"]


@pytest.mark.parametrize("url", ["sqlite", "postgresql"])
def test_a_change_cancels_what_is_in_flight_in_its_own_transaction(
    tmp_path: Path, request: pytest.FixtureRequest, url: str
) -> None:
    address = "" if url == "sqlite" else str(request.getfixturevalue("postgresql_url"))
    office = Office(tmp_path, address)
    office.push(staff())
    office.look()
    begun = [office.begin(), *(office.begin(state=state) for state in PARKED)]
    waiting = office.wait_in_line()
    ended = office.begin(state="succeeded")
    commit = office.push(staff("Be long.", in_flight="cancel"))
    assert office.look().outcome is Outcome.APPLIED
    assert set(office.states(*begun)) == {"cancelled"}
    assert office.states(waiting, ended) == ["pending", "succeeded"]
    entries = office.log("task.cancelled")
    assert {entry["task"] for entry in entries} == set(begun)
    assert {entry["actor"] for entry in entries} == {"git:default"}
    assert all(
        entry["reason"].endswith(
            f": agent/default/clerk changed in commit {commit}, which cancels tasks in flight"
        )
        for entry in entries
    )
    office.database.close()


def test_a_deletion_does_what_the_recorded_manifest_says(office: Office) -> None:
    office.push(staff(in_flight="cancel") | {"other.yaml": agent("other")})
    office.look()
    task, other = office.begin(), office.begin(Key("default", "Agent", "other"))
    office.push({"clerk.yaml": None})
    assert office.look().outcome is Outcome.APPLIED
    assert office.states(task, other) == ["cancelled", "leased"]
    (entry,) = office.log("task.cancelled")
    assert "agent/default/clerk was deleted in commit" in entry["reason"]


def test_a_tool_that_cancels_reaches_every_task_that_may_call_it(office: Office) -> None:
    spec = TOOL % ""
    grant = "{name: t, permissions: [{read: x}]}"
    files: dict[str, str | None] = {
        "t.yaml": manifest("Tool", "t", spec, in_flight="cancel"),
        "clerk.yaml": agent("clerk", tools=grant),
        "other.yaml": agent("other"),
        "sys.yaml": manifest("AgentSystem", "desk", "{agents: [other, clerk]}"),
        "model.yaml": MODEL,
    }
    office.push(files)
    office.look()
    direct = office.begin()
    through = office.begin(Key("default", "AgentSystem", "desk"))
    without = office.begin(Key("default", "Agent", "other"))
    changed = TOOL % ", description: new"
    office.push({"t.yaml": manifest("Tool", "t", changed, in_flight="cancel")})
    assert office.look().outcome is Outcome.APPLIED
    assert office.states(direct, through, without) == ["cancelled", "cancelled", "leased"]


def test_a_task_manifest_speaks_of_the_tasks_that_it_asked_for(office: Office) -> None:
    spec = "{agent: clerk, mode: template%s}"
    named = {"t.yaml": manifest("Task", "t", spec % "")}
    office.push(staff() | named)
    office.look()
    its, others = office.begin(task_name="t"), office.begin(task_name="u")
    changed = spec % ", input: {topic: x}"
    office.push({"t.yaml": manifest("Task", "t", changed, in_flight="cancel")})
    assert office.look().outcome is Outcome.APPLIED
    assert office.states(its, others) == ["cancelled", "leased"]


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(staff(in_flight="cancel"), id="only the annotation"),
        pytest.param(
            {"clerk.yaml": None, "x/clerk.yaml": agent("clerk", in_flight="cancel")},
            id="another file",
        ),
    ],
)
def test_what_no_task_could_tell_disturbs_none(
    office: Office, files: dict[str, str | None]
) -> None:
    office.push(staff())
    office.look()
    task = office.begin()
    office.push(files)
    assert office.look().outcome is Outcome.APPLIED
    assert office.states(task) == ["leased"]


def test_without_a_way_to_cancel_nothing_is_applied(office: Office) -> None:
    office.push(staff())
    office.look()
    task = office.begin()
    office.push(staff("Be long.", in_flight="cancel"))
    source = Source(url=office.repository.url)
    alone = Reconciler(Settings(home=office.home, source=source), office.database)
    seen = alone.preview().plan
    assert seen is not None
    with pytest.raises(Exception, match="done by the daemon or orloj reconcile"):
        alone.apply(seen, office.now_us)
    assert office.states(task) == ["leased"]
    assert office.log("task.cancelled") == []


# The change waits.


def test_a_drained_change_waits_for_what_is_in_flight_and_then_comes(office: Office) -> None:
    office.push(staff())
    first = office.look().commit
    tasks = [office.begin(), office.begin(state="waiting_approval")]
    office.push(staff("Be long.", in_flight="drain"))
    result = office.look()
    (block,) = result.blocks
    assert (result.outcome, result.waits, block.reason) == (Outcome.REJECTED, True, "Draining")
    assert block.until_us == office.now_us + 2 * SECOND_US
    assert "waits for 2 tasks in flight under it" in block.sentence
    assert f"orloj cancel {min(tasks)}" in block.sentence
    assert (office.state().condition, office.state().reason) == (RECONCILING, "Draining")
    office.end(tasks[0])
    assert office.look(AGAIN_US).outcome is Outcome.REJECTED
    assert office.state().applied_commit == first
    office.end(tasks[1])
    assert office.look(AGAIN_US).outcome is Outcome.APPLIED
    assert office.rows("SELECT * FROM drain") == []
    assert len(office.log("manifest.rejected")) == 1


def test_a_drained_change_that_nothing_stands_in_the_way_of_comes_at_once(
    office: Office,
) -> None:
    office.push(staff())
    office.look()
    waiting = office.wait_in_line()
    office.push(staff("Be long.", in_flight="drain"))
    assert office.look().outcome is Outcome.APPLIED
    assert office.states(waiting) == ["pending"]


def test_it_waits_no_longer_than_it_says_whoever_restarts_meanwhile(office: Office) -> None:
    office.push(staff())
    office.look()
    task = office.begin()
    office.push(staff("Be long.", in_flight="drain", drain_timeout="30s"))
    assert office.look().outcome is Outcome.REJECTED
    office.reconciler = office.started()  # A process that remembers nothing.
    (block,) = office.look(29 * SECOND_US).blocks
    assert block.until_us == office.now_us + SECOND_US
    office.reconciler = office.started()
    assert office.look(SECOND_US).outcome is Outcome.APPLIED
    assert office.states(task) == ["leased"]
    assert office.rows("SELECT * FROM drain") == []


def test_a_newer_commit_takes_its_place_and_does_not_begin_the_wait_anew(
    office: Office,
) -> None:
    office.push(staff())
    office.look()
    office.begin()
    office.push(staff("Be long.", in_flight="drain", drain_timeout="30s"))
    office.look()
    newest = office.push(staff("Be longer.", in_flight="drain", drain_timeout="30s"))
    assert office.look(15 * SECOND_US).commit == newest
    result = office.look(15 * SECOND_US)
    assert (result.outcome, result.commit) == (Outcome.APPLIED, newest)


def test_a_commit_that_takes_the_change_back_ends_the_wait(office: Office) -> None:
    office.push(staff())
    office.look()
    office.begin()
    office.push(staff("Be long.", in_flight="drain"))
    office.look()
    office.push(staff() | {"b.yaml": agent("b")})
    assert office.look().outcome is Outcome.APPLIED
    assert office.rows("SELECT * FROM drain") == []


def test_a_wait_and_a_block_together_wait_for_a_person(office: Office) -> None:
    office.reconciler = office.started(prune_max=1)
    others = {f"{name}.yaml": agent(name) for name in "abc"}
    office.push(staff() | others)
    office.look()
    office.begin()
    office.push(staff("Be long.", in_flight="drain") | dict.fromkeys(others, None))
    result = office.look()
    assert {block.reason for block in result.blocks} == {"PruneBudget", "Draining"}
    assert (result.waits, office.state().condition) == (False, STALLED)


def test_nobody_waits_for_what_the_same_commit_cancels(office: Office) -> None:
    office.push(staff() | {"t.yaml": manifest("Tool", "t", TOOL % "")})
    office.look()
    task = office.begin()
    model = manifest(
        "ModelEndpoint", "gpt-4", "{provider: mock, default_model: n}", in_flight="drain"
    )
    office.push(staff("Be long.", in_flight="cancel") | {"model.yaml": model})
    assert office.look().outcome is Outcome.APPLIED
    assert office.states(task) == ["cancelled"]


def test_a_deletion_waits_too(office: Office) -> None:
    office.push(staff(in_flight="drain") | {"b.yaml": agent("b")})
    office.look()
    task = office.begin()
    office.push({"clerk.yaml": None})
    assert [block.reason for block in office.look().blocks] == ["Draining"]
    office.end(task)
    assert office.look(AGAIN_US).outcome is Outcome.APPLIED


def test_the_tasks_in_flight_are_found_by_indexes(office: Office) -> None:
    plan = [row[-1] for row in office.rows(f"EXPLAIN QUERY PLAN {IN_FLIGHT}")]
    found = [line for line in plan if " task" in line]
    assert len(found) == 3
    assert all("INDEX task_" in line for line in found), plan


# With a daemon and a runner.

SLOW = "{provider: mock, default_model: m, script: {clerk: [{reply: slow, delay: %s}]}}"


@contextmanager
def daemon(office: Office) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that follows the repository; it is stopped at the end."""
    environment = {
        "PATH": os.environ["PATH"],
        "ORLOJ_HOME": str(office.home),
        "ORLOJ_SOURCE_URL": office.repository.url,
        "ORLOJ_SOURCE_INTERVAL_S": "3600",
    }
    with (office.folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "daemon"], env=environment, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def slow_staff(delay: str, prompt: str = "Be brief.", **more: str) -> dict[str, str | None]:
    model = manifest("ModelEndpoint", "gpt-4", SLOW % delay)
    return {"clerk.yaml": agent("clerk", prompt, **more), "model.yaml": model}


def log_of(office: Office, action: str) -> int:
    return (office.folder / "daemon.log").read_text().count(f'"{action}"')


@pytest.mark.story
def test_a_running_task_is_cut_off_by_the_push_that_cancels_it(office: Office) -> None:
    home = Home(office.home, applied=False)
    office.push(slow_staff("60s"))
    with daemon(office), home.runner(workers=1, slots=1):
        home.until(lambda: office.rows("SELECT * FROM resource"))
        (task,) = home.submit(CLERK)
        home.until(lambda: any(e["type"] == "action.decided" for e in home.entries(task)))
        office.push(slow_staff("0s", "Be long.", in_flight="cancel"))
        home.wait([task], {"cancelled"})
        # Its slot is free again, and the next works under what was pushed.
        following = home.submit(CLERK)
        home.wait(following, {"succeeded"})
    assert home.entries(task)[-1]["reason"].startswith("was running: agent/default/clerk")
    home.close()


@pytest.mark.story
def test_a_drained_push_comes_by_itself_when_the_running_task_is_over(office: Office) -> None:
    home = Home(office.home, applied=False)
    office.push(slow_staff("3s"))
    with daemon(office), home.runner(workers=1, slots=1):
        home.until(lambda: office.rows("SELECT * FROM resource"))
        (task,) = home.submit(CLERK)
        home.until(lambda: any(e["type"] == "action.decided" for e in home.entries(task)))
        commit = office.push(slow_staff("3s", "Be long.", in_flight="drain"))
        home.until(lambda: office.state().reason == "Draining")
        home.until(lambda: office.state().applied_commit == commit)
    assert home.state(task) == "succeeded"
    types = [entry["type"] for entry in home.entries()]
    home.close()
    _, second = (at for at, type in enumerate(types) if type == "manifest.applied")
    assert types.index("task.finished") < second
    assert log_of(office, "pass_rejected") == 1
