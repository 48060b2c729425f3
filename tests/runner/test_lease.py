"""A task is finished at most once, and only by whoever claimed it last.

Workers of two hosts claim, oversleep, are rescued and report late, in any order; hosts start
again, and every clock is set, back as well. After every step the database agrees with the
pure rules, fences have only grown, and nobody late has changed anything. One test takes the
fence check away and sees that it is missed.
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
WORKERS = {"w1": "near", "w2": "near", "w3": "far"}
"""Each with its host."""
TASKS = 4
HOUR_US = 3_600_000_000


class Leases(RuleBasedStateMachine):
    """three workers of two hosts and four tasks over one database, beside the pure rules."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.home = Home(self.folder / "home")
        self.home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
        agent = self.home.record("Agent", "clerk", {"model": "m"})
        tasks = self.home.submit(agent, TASKS)
        self.connection = self.home.database.connect()
        hosts = sorted(set(WORKERS.values()))
        self.ledgers = {name: Ledger(self.connection, name, crashes_max=100) for name in hosts}
        self.walls_us = dict.fromkeys(hosts, 10 * HOUR_US)
        self.leases = dict.fromkeys(tasks, Lease())
        self.finished: dict[str, list[int]] = {task: [] for task in tasks}
        self.claims: list[Held] = []
        self.highest = dict.fromkeys(tasks, 0)
        self.now_us = 0

    def teardown(self) -> None:
        self.connection.close()
        self.home.close()
        shutil.rmtree(self.folder)

    def _written(self, host: str, write: object, task: str, fence: int) -> bool:
        """Whether a write under a fence was let through, which the pure rule must foresee."""
        assert callable(write)
        try:
            with self.home.database.writing(self.connection):
                write(self.ledgers[host], self.walls_us[host])
                self.ledgers[host].flush(self.walls_us[host])
        except LeaseLost:
            self.ledgers[host].forget()
            assert not lease.writable(self.leases[task], fence), "a holder was refused"
            return False
        assert lease.writable(self.leases[task], fence), "a late holder's write counted"
        return True

    def _freed(self, held: Held, host: str, reason: str) -> None:
        """A host takes a task out of its holder's hands, which the pure rule must allow."""
        assert self._written(
            host,
            lambda ledger, wall_us: ledger.release(held, reason, crashed=True, now_us=wall_us),
            held.task,
            held.fence,
        )
        freed = lease.release(self.leases[held.task], held.fence)
        assert freed is not None
        self.leases[held.task] = freed

    @rule(worker=st.sampled_from(sorted(WORKERS)))
    def claim(self, worker: str) -> None:
        host = WORKERS[worker]
        ledger, wall_us = self.ledgers[host], self.walls_us[host]
        with self.home.database.writing(self.connection):
            slots = Slots([(worker, 0, 1)])
            claims = ledger.claim(slots, host, self.now_us + TTL_US, wall_us)
            ledger.flush(wall_us)
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

    @rule(by_us=st.sampled_from([-HOUR_US, -TTL_US, HOUR_US]))
    def set_the_clock_of_leases(self, by_us: int) -> None:
        """It is the database server's, which people may set, where several hosts write."""
        self.now_us += by_us

    @rule(host=st.sampled_from(sorted(set(WORKERS.values()))), hours=st.integers(-5, 5))
    def set_a_wall_clock(self, host: str, hours: int) -> None:
        self.walls_us[host] += hours * HOUR_US

    @rule(worker=st.sampled_from(sorted(WORKERS)))
    def renew(self, worker: str) -> None:
        with self.home.database.writing(self.connection):
            queue.renew(self.connection, [worker], self.now_us + TTL_US)
        for task, held in self.leases.items():
            if held.holder == worker:
                renewed = lease.renew(held, held.fence, self.now_us, TTL_US)
                assert renewed is not None
                self.leases[task] = renewed

    @rule(host=st.sampled_from(sorted(set(WORKERS.values()))))
    def rescue(self, host: str) -> None:
        """Any host takes back what has run out, whoever held it."""
        found = queue.rescuable(self.connection, self.now_us, TASKS)
        self.connection.rollback()
        expired = {task for task, at in self.leases.items() if lease.expired(at, self.now_us)}
        assert {held.task for held in found} == expired
        for held in found:
            self._freed(held, host, "its host was silent")

    @rule(host=st.sampled_from(sorted(set(WORKERS.values()))))
    def start_again(self, host: str) -> None:
        """A host takes back what its own earlier life held, and nothing else."""
        found = self.ledgers[host].leased(host)
        self.connection.rollback()
        held = {
            task for task, at in self.leases.items() if WORKERS.get(at.holder or "") == host
        }
        assert {one.task for one in found} == held
        for one in found:
            self._freed(one, host, "the runner died")

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.claims))
        message = {"outcome": "succeeded", "output": f"by {held.fence}", "error": None}
        if self._written(
            WORKERS[held.worker],
            lambda ledger, wall_us: ledger.finish(held, message, wall_us),
            held.task,
            held.fence,
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
            WORKERS[held.worker],
            lambda ledger, wall_us: ledger.journal.begin_model(held, message, wall_us),
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


def test_after_the_clock_was_set_back_a_renewal_ends_by_the_new_time() -> None:
    held = Lease(fence=1, holder="w1", until_us=HOUR_US)
    renewed = lease.renew(held, 1, 0, TTL_US)
    assert renewed is not None
    assert renewed.until_us == TTL_US


def test_a_holder_stops_before_the_rescuer_starts() -> None:
    started_us = 7_000
    held = lease.claim(Lease(), "w1", started_us, TTL_US)
    assert held is not None
    stop_us = lease.trusted_until(started_us, TTL_US)
    assert started_us < stop_us < held.until_us
    assert not lease.expired(held, stop_us)
    assert lease.expired(held, held.until_us)
