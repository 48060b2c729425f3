"""A task is finished at most once, and only by whoever claimed it last.

Workers claim, oversleep, are rescued and report late, in any order. After every step the
database agrees with the pure rules, fences have only grown, and nobody late has changed
anything. The last test takes the fence check away and sees that it is missed.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from home import Home
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runner import lease, queue
from runner.claim import Held, Slots
from runner.contract.errors import LeaseLost
from runner.lease import Lease
from runner.ledger import Ledger

TTL_US = 1_000
WORKERS = ("w1", "w2", "w3")
TASKS = 4


class Leases(RuleBasedStateMachine):
    """three workers and four tasks over a real database, beside the pure rules."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.home = Home(self.folder / "home")
        self.home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
        agent = self.home.record("Agent", "clerk", {"model": "m"})
        tasks = self.home.submit(agent, TASKS)
        self.connection = self.home.database.connect()
        self.ledger = Ledger(self.connection, "host", crashes_max=100)
        self.leases = dict.fromkeys(tasks, Lease())
        self.finished: dict[str, list[int]] = {task: [] for task in tasks}
        self.claims: list[Held] = []
        self.highest = dict.fromkeys(tasks, 0)
        self.now_us = 0

    def teardown(self) -> None:
        self.connection.close()
        self.home.close()
        shutil.rmtree(self.folder)

    def _written(self, write: object, task: str, fence: int) -> bool:
        """Whether a write under a fence was let through, which the pure rule must foresee."""
        assert callable(write)
        try:
            with self.home.database.writing(self.connection):
                write()
                self.ledger.flush(self.now_us)
        except LeaseLost:
            self.ledger.forget()
            assert not lease.writable(self.leases[task], fence), "a holder was refused"
            return False
        assert lease.writable(self.leases[task], fence), "a late holder's write counted"
        return True

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        with self.home.database.writing(self.connection):
            claims = self.ledger.claim(
                Slots([(worker, 0, 1)]), "boot", self.now_us + TTL_US, self.now_us
            )
            self.ledger.flush(self.now_us)
        free = [
            task
            for task, held in self.leases.items()
            if held.holder is None and not self.finished[task]
        ]
        assert bool(claims) == bool(free), "the queue and the rules disagree on what is free"
        for _, held in claims:
            after = lease.claim(self.leases[held.task], worker, self.now_us, TTL_US)
            assert after is not None, "a task was claimed out of somebody's hands"
            assert held.fence == after.fence
            self.leases[held.task] = after
            self.claims.append(held)

    @rule(step_us=st.sampled_from([1, TTL_US - 1, TTL_US]))
    def oversleep(self, step_us: int) -> None:
        self.now_us += step_us

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        with self.home.database.writing(self.connection):
            queue.renew(self.connection, [worker], self.now_us + TTL_US)
        for task, held in self.leases.items():
            if held.holder == worker:
                renewed = lease.renew(held, held.fence, self.now_us, TTL_US)
                assert renewed is not None
                self.leases[task] = renewed

    @rule()
    def rescue(self) -> None:
        held_now = {held.task: held for held in self.ledger.leased()}
        self.connection.rollback()
        for task, at in self.leases.items():
            if lease.expired(at, self.now_us):
                held = held_now[task]
                assert self._written(
                    lambda held=held: self.ledger.release(
                        held, "silent", crashed=True, now_us=self.now_us
                    ),
                    task,
                    at.fence,
                )
                freed = lease.release(at, at.fence)
                assert freed is not None
                self.leases[task] = freed

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.claims))
        message = {"outcome": "succeeded", "output": f"by {held.fence}", "error": None}
        if self._written(
            lambda: self.ledger.finish(held, message, self.now_us), held.task, held.fence
        ):
            self.finished[held.task].append(held.fence)
            freed = lease.release(self.leases[held.task], held.fence)
            assert freed is not None
            self.leases[held.task] = freed

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def write_a_step(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.claims))
        message = {
            "step": 1,
            "agent": "clerk",
            "endpoint": "default",
            "model": "m",
            "request": {"by": held.fence},
        }
        self._written(
            lambda: self.ledger.journal.begin_model(held, message, self.now_us),
            held.task,
            held.fence,
        )

    @invariant()
    def a_task_is_finished_once_by_its_last_claim(self) -> None:
        for task, fences in self.finished.items():
            assert len(fences) <= 1, f"finished by {fences}"
            assert all(fence == self.leases[task].fence for fence in fences)

    @invariant()
    def the_rows_are_what_the_rules_say(self) -> None:
        rows = self.home.rows("SELECT id, fence, holder, lease_until, state, output FROM task")
        for task, fence, holder, until_us, state, output in rows:
            rules = self.leases[task]
            assert (fence, holder) == (rules.fence, rules.holder)
            assert until_us is None or until_us == rules.until_us
            assert fence >= self.highest[task], "a fence fell"
            self.highest[task] = fence
            done = self.finished[task]
            assert (state == "succeeded") == bool(done)
            assert output == (f"by {done[0]}" if done else None)


_QUICK = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_rows_and_rules_agree_whatever_the_workers_do() -> None:
    run_state_machine_as_test(Leases, settings=_QUICK)


def test_without_the_fence_check_a_late_write_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "_HELD", "id = ? AND fence >= ? - fence AND state = 'leased'")
    unshrunk = settings(
        _QUICK, derandomize=True, max_examples=500, phases=[Phase.generate], print_blob=False
    )
    with pytest.raises(AssertionError, match="late holder"):
        run_state_machine_as_test(Leases, settings=unshrunk)


def test_a_claim_is_refused_while_somebody_holds_the_task() -> None:
    held = lease.claim(Lease(), "w1", 0, TTL_US)
    assert held is not None
    assert lease.claim(held, "w2", 0, TTL_US) is None


@pytest.mark.parametrize("fence", [0, 1, 3], ids=["never", "before", "not yet"])
def test_another_fence_writes_nothing(fence: int) -> None:
    held = Lease(fence=2, holder="w1", until_us=TTL_US)
    assert not lease.writable(held, fence)
    assert lease.renew(held, fence, 0, TTL_US) is None
    assert lease.release(held, fence) is None


def test_a_renewal_says_how_many_leases_it_moved(home: Home) -> None:
    """Fewer than its dispatcher knows of: then it does not let its workers go on."""
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    home.submit(home.record("Agent", "clerk", {"model": "m"}), 3)
    with home.database.connect() as connection, home.database.writing(connection):
        slots = Slots([("w1", 0, 2), ("w2", 0, 1)])
        ledger = Ledger(connection, "host", crashes_max=3)
        ((_, first), *_) = ledger.claim(slots, "host", TTL_US, 0)
        assert queue.renew(connection, ["w1", "w2", "w3"], TTL_US) == 3
        ledger.release(first, "silent", crashed=True, now_us=0)
        assert queue.renew(connection, ["w1", "w2", "w3"], TTL_US) == 2


def test_a_renewal_never_shortens_a_lease() -> None:
    held = Lease(fence=1, holder="w1", until_us=5 * TTL_US)
    renewed = lease.renew(held, 1, 0, TTL_US)
    assert renewed is not None
    assert renewed.until_us == 5 * TTL_US


def test_a_holder_stops_before_the_rescuer_starts() -> None:
    started_us = 7_000
    held = lease.claim(Lease(), "w1", started_us, TTL_US)
    assert held is not None
    stop_us = lease.trusted_until(started_us, TTL_US)
    assert started_us < stop_us < held.until_us
    assert not lease.expired(held, stop_us)
    assert lease.expired(held, held.until_us)
