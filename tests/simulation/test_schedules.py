"""Whatever the order of events, the ledger's promises hold after every one of them.

A seed makes a schedule: workers claim, ask, act and report, die, oversleep and come back
late; the disk fails in the middle of a transaction; the dispatcher dies and starts again.
The clock is the schedule's own. The database is real. The failing seed is in the message
and in the test's name, and gives the same story again.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from home import Home

from runner.claim import Held, Slots
from runner.contract import audit
from runner.contract.errors import LeaseLost
from runner.ledger import Ledger

TASKS = 8
EVENTS = 220
CRASHES_MAX = 4
WORKERS = {"w1": 2, "w2": 2, "w3": 1}
PLAN = ("model", "once", "model", "again", "model")  # The tool `again` is idempotent.
SETTLED = {"succeeded", "dead", "unknown_outcome"}


@dataclass
class Job:
    """A claim in a worker's hands; `asked` is whether its next step is decided already."""

    held: Held
    finished: int
    asked: bool = False
    acted: bool = False
    late: bool = False

    @property
    def step(self) -> int:
        return self.finished + 1


class DiskFull(Exception):
    """What the schedule does to a transaction now and then."""


@dataclass
class World:
    """Everything there is: the ledger, the workers' hands, and what was really done."""

    home: Home
    chance: random.Random
    seed: int
    now_us: int = 1_000_000
    jobs: list[Job] = field(default_factory=list)
    effects: Counter[tuple[str, int]] = field(default_factory=Counter)
    fences: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    disk_fails: bool = True

    def __post_init__(self) -> None:
        self.connection = self.home.database.connect()
        self.ledger = Ledger(self.connection, "host", CRASHES_MAX)

    def written(self, write: Callable[[], Any]) -> Any:
        """What a transaction gives; the dispatcher dies with it when the disk is full."""
        try:
            with self.home.database.writing(self.connection):
                result = write()
                self.ledger.flush(self.now_us)
                if self.disk_fails and self.chance.random() < 0.04:
                    raise DiskFull
        except LeaseLost:
            self.ledger.forget()
            raise
        except DiskFull:
            self.dispatcher_dies()
            return None
        return result

    def dispatcher_dies(self) -> None:
        """All hands are empty, nothing in memory is left, and the next one starts."""
        self.jobs.clear()
        self.ledger = Ledger(self.connection, "host", CRASHES_MAX)
        with self.home.database.writing(self.connection):
            for held in self.ledger.leased():
                self.ledger.release(held, "the runner died", crashed=True, now_us=self.now_us)
            self.ledger.flush(self.now_us)

    def claim(self) -> None:
        busy = Counter(job.held.worker for job in self.jobs if not job.late)
        slots = Slots((name, busy[name], slots) for name, slots in WORKERS.items())
        claims = self.written(lambda: self.ledger.claim(slots, "boot", 0, self.now_us)) or []
        for task, held in claims:
            assert held.fence > self.fences.get(task.id, 0), "a fence did not grow"
            self.fences[task.id] = held.fence
            steps = self.ledger.journal.steps(task.id)
            self.connection.rollback()
            self.jobs.append(Job(held, sum(step.finished for step in steps)))

    def advance(self) -> None:
        """One edge of the protocol of one job: ask, act, tell, or finish."""
        if not self.jobs:
            return
        job = self.chance.choice(self.jobs)
        try:
            self._edge(job)
        except LeaseLost:
            assert job.late, "a holder was refused"
            self.jobs.remove(job)
        else:
            assert not job.late or job not in self.jobs, "a late holder was let through"

    def _edge(self, job: Job) -> None:
        if job.finished == len(PLAN):
            self._finish(job)
        elif not job.asked:
            job.asked = bool(self.written(lambda: self._ask(job)))
        elif not job.acted:
            self._act(job)
        elif self.written(lambda: self._tell(job)):
            job.finished, job.asked, job.acted = job.finished + 1, False, False

    def _finish(self, job: Job) -> None:
        outcome = self.chance.choice(["succeeded", "succeeded", "retry"])
        message = {"outcome": outcome, "output": "x", "error": "busy"}
        state = self.written(lambda: self.ledger.finish(job.held, message, self.now_us))
        if state is not None:
            self.jobs.remove(job)
            self.done[job.held.task] += state == "succeeded"

    def _act(self, job: Job) -> None:
        if job.late:  # Its trust has run out: it stops instead of acting.
            raise LeaseLost
        job.acted = True
        if PLAN[job.finished] != "model":
            self.effects[job.held.task, job.step] += 1

    def _ask(self, job: Job) -> bool:
        kind = PLAN[job.finished]
        message = {
            "step": job.step,
            "agent": "clerk",
            "request": {"call": "c", "arguments": {}},
        }
        if kind == "model":
            message |= {"endpoint": "default", "model": "m"}
            self.ledger.journal.begin_model(job.held, message, self.now_us)
        else:
            message |= {"tool": kind}
            verdict = self.ledger.journal.begin_tool(job.held, message, self.now_us)
            assert verdict.decision == "allow"
        return True

    def _tell(self, job: Job) -> bool:
        message = {"step": job.step, "agent": "clerk", "outcome": "executed", "result": {}}
        message |= {"tokens_in": 1, "tokens_out": 1, "duration_us": 1}
        self.ledger.journal.end(job.held, message, self.now_us)
        return True

    def lose(self) -> None:
        """A worker is taken for dead; half of the time it is only asleep, and comes back."""
        worker = self.chance.choice(list(WORKERS))
        mine = [job for job in self.jobs if job.held.worker == worker and not job.late]
        asleep = self.chance.random() < 0.5
        drained = self.chance.random() < 0.2

        def release() -> bool:
            for job in mine:
                self.ledger.release(job.held, "gone", crashed=not drained, now_us=self.now_us)
            return True

        if mine and self.written(release):
            for job in mine:
                if asleep:
                    job.late = True
                else:
                    self.jobs.remove(job)

    def check(self) -> None:
        """The promises."""
        for (task, step), times in self.effects.items():
            if PLAN[step - 1] == "once":
                assert times == 1, (
                    f"step {step} of {task}, not idempotent, was done {times} times"
                )
        assert all(count <= 1 for count in self.done.values()), "finished twice"
        holders = Counter(job.held.task for job in self.jobs if not job.late)
        assert all(count == 1 for count in holders.values()), "two workers hold one task"
        rows = self.home.rows("SELECT id, state, fence FROM task")
        assert {row[0] for row in rows if row[1] == "leased"} == set(holders)
        assert all(fence == self.fences.get(id, 0) for id, _, fence in rows)
        assert {row[0] for row in rows if row[1] == "succeeded"} == set(+self.done)
        doubled = self.home.rows(
            "SELECT task FROM audit_entry WHERE type = 'task.finished' GROUP BY task"
            " HAVING count(*) > 1"
        )
        assert doubled == [], "the log says finished twice"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    yield made
    made.close()


def declared(home: Home) -> Any:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    use = {"use": "it"}
    for name in ("once", "again"):
        home.record(
            "Tool",
            name,
            {"endpoint": "http://x", "requires": [use], "idempotent": name == "again"},
        )
    grants = [{"name": name, "permissions": [use]} for name in ("once", "again")]
    return home.record("Agent", "clerk", {"model": "m", "tools": grants})


@pytest.mark.parametrize("seed", range(25), ids=lambda seed: f"seed {seed}")
def test_no_schedule_breaks_a_promise(home: Home, seed: int) -> None:
    chance = random.Random(seed)
    world = World(home, chance, seed)
    retry = {"maxAttempts": 20, "backoff": "1ms", "jitter": "none"}
    tasks = home.submit(declared(home), TASKS, retry=retry)
    world.now_us = max(row[0] for row in home.rows("SELECT run_at FROM task"))
    events = [world.claim] * 3 + [world.advance] * 12 + [world.lose] + [world.dispatcher_dies]
    weights = [3.0] * 3 + [6.0] * 12 + [2.0, 0.4]
    story: list[str] = []
    try:
        for _ in range(EVENTS):
            event = chance.choices(events, weights)[0]
            story.append(event.__name__)
            event()
            world.now_us += chance.randrange(2_000)
            world.check()
        world.disk_fails = False
        for _ in range(4_000):  # A calm end: every task settles.
            world.now_us += 1_000_000
            world.claim()
            world.advance()
            if not world.jobs and {home.state(task) for task in tasks} <= SETTLED:
                break
        world.check()
        assert {home.state(task) for task in tasks} <= SETTLED, "a task never settled"
        with home.database.read() as connection:
            assert audit.verify(connection).holds
    except AssertionError as broken:
        broken.add_note(f"seed {seed}, event {len(story)}: … {' '.join(story[-12:])}")
        raise
    finally:
        world.connection.close()
