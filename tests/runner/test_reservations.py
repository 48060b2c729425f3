"""A call is made only with room under every limit, and what it leaves open is charged.

The dispatcher's own statements on both databases, with a clock that the test sets. On
PostgreSQL the clock is the server's: there the test moves what was reserved instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from home import Home
from sqlalchemy import Connection

from runner import decisions
from runner.claim import Held, Parking, Slots
from runner.contract import clock
from runner.contract.kinds import Key
from runner.governance.verdict import Decision, Verdict
from runner.ledger import Ledger
from runner.limit.limits import MINUTE_US
from runner.limit.worst_window import worst_windows

SCRIPT = {"provider": "mock", "default_model": "m", "prices": {"m": {"input": 2, "output": 4}}}


@dataclass
class Desk:
    """A dispatcher's ledger, and tasks in its workers' hands."""

    home: Home
    connection: Connection
    now_us: int = field(default_factory=clock.now_us)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.connection, "host", crashes_max=3)

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self.home.database.writing(self.connection):
            yield
            self.ledger.flush(self.now_us)

    def claim(self, count: int = 8) -> list[Held]:
        """Those tasks that can be claimed, oldest first."""
        with self.writing():
            slots, until_us = Slots([("w", 0, count)]), self.now_us + 1_000_000
            claims = self.ledger.claim(slots, "host", until_us, self.now_us)
        return [held for _, held in claims]

    def ask(self, held: Held, tokens: tuple[int, int] = (50, 50), **more: Any) -> Any:
        """What the dispatcher says to a question; a task that must wait is parked."""
        known = {"input": tokens[0], "likely": tokens[0], "output": tokens[1]}
        message = {"step": 1, "agent": "clerk", "model": "m", "endpoint": "default"}
        message |= {"request": {}, "tokens": known, **more}
        with self.writing():
            said = self.ledger.journal.begin_model(held, message, self.now_us)
            if isinstance(said, Parking):
                self.ledger.park(held, said, self.now_us)
        return said

    def call(self, held: Held) -> Any:
        """The same for a call of the tool."""
        request = {"call": "c", "arguments": {}}
        message = {"step": 2, "agent": "clerk", "tool": "t", "request": request}
        with self.writing():
            said = self.ledger.journal.begin_tool(held, message, self.now_us)
            if isinstance(said, Parking):
                self.ledger.park(held, said, self.now_us)
        return said

    def end(
        self, held: Held, used: tuple[int, int], charge: str = "usage", **more: Any
    ) -> None:
        message = {"step": 1, "agent": "clerk", "model": "m", "outcome": "executed"}
        message |= {"result": {}, "tokens_in": used[0], "tokens_out": used[1]}
        message |= {"duration_us": 1, "charge": charge, **more}
        with self.writing():
            self.ledger.journal.end(held, message, self.now_us)

    def finish(self, held: Held) -> None:
        with self.writing():
            message = {"outcome": "failed", "error": "e"}
            self.ledger.finish(held, message, self.now_us)

    def later(self, by_us: int) -> None:
        """Let time pass: here by the clock, on a server by moving what was."""
        if self.home.url:
            with self.home.database.write() as connection:
                for change in (
                    "reservation SET reserved_at = reserved_at - ?",
                    "reservation SET settled_at = settled_at - ?",
                    "limit_wait SET due_at = due_at - ?",
                    "limit_clock SET newest_at = newest_at - ?",
                    "task SET run_at = run_at - ?",
                ):
                    connection.exec_driver_sql(f"UPDATE {change}", (by_us,))
        else:
            self.now_us += by_us

    def amounts(self) -> list[tuple[str, int, bool]]:
        """Every reservation: under which limit, how much, and whether it is open."""
        return [
            (row[0], row[1], row[2] is None)
            for row in self.home.rows(
                "SELECT dimension, amount, settled_at FROM reservation ORDER BY number"
            )
        ]

    def holds(self) -> bool:
        """Whether the log says that no window was over its limit."""
        return all(worst.holds for worst in worst_windows(self.home.entries()))


@pytest.fixture
def desk(home: Home) -> Iterator[Desk]:
    home.record("ModelEndpoint", "default", SCRIPT)
    connection = home.database.connect()
    yield Desk(home, connection)
    connection.close()


def clerk(home: Home, **governance: Any) -> Key:
    return home.record("Agent", "clerk", {"model": "m", "governance": governance})


def allowed(said: Any) -> bool:
    return isinstance(said, Verdict) and said.decision is Decision.ALLOW


def test_calls_at_once_are_admitted_up_to_the_limit_and_the_others_wait(desk: Desk) -> None:
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=250), 4)
    said = [desk.ask(held) for held in desk.claim()]
    assert [allowed(one) for one in said] == [True, True, False, False]
    assert isinstance(said[2], Parking)
    assert "200 of 250 tokens are in use and 100 are needed" in said[2].reason
    assert "agents/clerk.yaml:1" in said[2].reason
    assert desk.home.rows("SELECT count(*) FROM task WHERE state = 'waiting_tokens'") == [(2,)]
    assert desk.home.rows("SELECT max(attempt) FROM task WHERE state = 'waiting_tokens'") == [
        (0,)
    ]


def test_what_is_settled_below_its_reservation_wakes_the_longest_waiting_alone(
    desk: Desk,
) -> None:
    ids = desk.home.submit(clerk(desk.home, maxTokensPerMinute=250), 5)
    claims = desk.claim()
    for held in claims:
        desk.ask(held)
    desk.end(claims[0], (10, 20))
    (woken,) = desk.claim()
    assert woken.task == ids[2]
    assert allowed(desk.ask(woken))
    assert desk.claim() == []


def test_room_comes_when_a_settled_call_has_left_the_window(desk: Desk) -> None:
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=100), 2)
    first, second = desk.claim()
    assert allowed(desk.ask(first))
    desk.end(first, (50, 50))
    assert isinstance(desk.ask(second), Parking)
    desk.later(MINUTE_US - 1_000_000)
    assert desk.claim() == []
    desk.later(1_100_000)
    (again,) = desk.claim()
    assert allowed(desk.ask(again))
    # On a server the rows were moved, and the log cannot be.
    assert desk.home.url or desk.holds()


def test_nobody_passes_who_waits_longer(desk: Desk) -> None:
    agent = clerk(desk.home, maxTokensPerMinute=200)
    desk.home.submit(agent, 2)
    first, large = desk.claim()
    desk.ask(first, (50, 50))
    assert isinstance(desk.ask(large, (60, 60)), Parking)
    desk.home.submit(agent)
    (small,) = desk.claim()
    assert isinstance(desk.ask(small, (40, 50)), Parking), "100 + 90 fits, but for who waits"
    desk.later(11_000_000 + 2 * MINUTE_US)
    assert len(desk.claim()) == 2


@pytest.mark.parametrize(
    ("charge", "used", "counts"),
    [("usage", (10, 5), 15), ("estimate", (0, 0), 100), ("nothing", (0, 0), 0)],
)
def test_a_call_counts_what_it_used_or_what_it_set_aside(
    desk: Desk, charge: str, used: tuple[int, int], counts: int
) -> None:
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=250))
    (held,) = desk.claim()
    desk.ask(held)
    desk.end(held, used, charge)
    assert desk.amounts() == [("tokens_per_minute", counts, False)]


def test_more_than_was_set_aside_is_counted_and_raises_an_alert(desk: Desk) -> None:
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=250), 2)
    first, second = desk.claim()
    desk.ask(first)
    desk.end(first, (100, 130))
    assert isinstance(desk.ask(second), Parking)
    (alert,) = [one for one in desk.home.entries() if one["type"] == "alert.token_overrun"]
    assert alert["charges"] == [["tokens_per_minute", "default/clerk", 230, 250]]
    assert alert["reason"] == "100 were reserved and 230 were used"


@pytest.mark.parametrize("how", ["crash", "cancel", "fail", "start"])
def test_what_a_task_leaves_open_is_charged(desk: Desk, how: str) -> None:
    (task,) = desk.home.submit(clerk(desk.home, maxTokensPerMinute=250))
    (held,) = desk.claim()
    desk.ask(held)
    if how == "cancel":
        with desk.home.database.write() as connection:
            decisions.cancel(connection, [task], actor="person:p", now_us=desk.now_us)
    elif how == "fail":
        desk.finish(held)
    else:
        with desk.writing():
            desk.ledger.release(held, "it died", crashed=True, now_us=desk.now_us)
    assert desk.amounts() == [("tokens_per_minute", 100, False)]
    settled = [one for one in desk.home.entries() if one["type"] == "tokens.settled"]
    assert [one["outcome"] for one in settled] == ["estimate"]


def test_a_worker_that_asks_twice_is_charged_twice(desk: Desk) -> None:
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=250))
    (held,) = desk.claim()
    for _ in range(2):
        assert allowed(desk.ask(held))
    assert [amount for _, amount, _ in desk.amounts()] == [100, 100]


def test_a_call_that_one_limit_refuses_takes_nothing_of_the_others(desk: Desk) -> None:
    agent = clerk(desk.home, maxTokensPerMinute=1000, maxCostPerDay="0.0005", maxConcurrent=5)
    desk.home.submit(agent, 2)
    first, second = desk.claim()
    assert allowed(desk.ask(first))  # 50 * 2 + 50 * 4 = 300 of 500 millionths.
    said = desk.ask(second)
    assert isinstance(said, Parking)
    assert "maxCostPerDay" in said.reason
    assert [one[:2] for one in desk.amounts()] == [
        ("tokens_per_minute", 100),
        ("cost_per_day", 300),
        ("concurrent_tasks", 1),
    ]


def test_a_model_without_a_price_cannot_be_asked_where_cost_is_limited(desk: Desk) -> None:
    desk.home.record("ModelEndpoint", "default", {**SCRIPT, "prices": {}})
    desk.home.submit(clerk(desk.home, maxCostPerDay="1"))
    (held,) = desk.claim()
    said = desk.ask(held)
    assert said.decision is Decision.DENY
    assert "add spec.prices with m or '*' to the ModelEndpoint default/default" in said.reason


def test_a_run_has_its_budget_over_all_its_attempts(desk: Desk) -> None:
    agent = clerk(desk.home, maxTokensPerRun=150)
    desk.home.submit(agent)
    (held,) = desk.claim()
    assert allowed(desk.ask(held))
    with desk.writing():
        desk.ledger.release(held, "it died", crashed=True, now_us=desk.now_us)
    (again,) = desk.claim()
    said = desk.ask(again, (60, 50))
    assert said.decision is Decision.DENY
    assert "of which 100 are used" in said.reason
    assert desk.ask(again, (20, 50)).output_max == 30, "the answer is cut to what is left"
    desk.finish(again)
    assert desk.amounts() == [], "what is over needs no rows"


def test_a_policy_limits_the_runs_of_whom_it_targets(desk: Desk) -> None:
    spec = {"max_tokens_per_run": 60, "target_agents": ["clerk"]}
    desk.home.record("AgentPolicy", "frugal", spec, line=4)
    desk.home.submit(clerk(desk.home))
    (held,) = desk.claim()
    said = desk.ask(held, (90, 50))
    assert (said.decision, said.rule) == (Decision.DENY, "agentpolicys/frugal.yaml:4")


def test_over_a_hand_off_every_agent_of_the_chain_is_charged(desk: Desk) -> None:
    clerk(desk.home, maxTokensPerMinute=150)
    desk.home.record("Agent", "boss", {"model": "m", "governance": {"maxTokensPerMinute": 900}})
    desk.home.submit(desk.home.record("AgentSystem", "line", {"agents": ["boss", "clerk"]}), 2)
    first, second = desk.claim()
    assert allowed(desk.ask(first))
    assert isinstance(desk.ask(second), Parking)
    scopes = desk.home.rows("SELECT scope FROM reservation ORDER BY number")
    assert scopes == [("default/boss",), ("default/clerk",)]
    desk.home.submit(Key("default", "AgentSystem", "line"))
    (third,) = desk.claim()
    assert allowed(desk.ask(third, (500, 300), agent="boss"))


def test_places_among_the_tasks_of_an_agent_are_given_in_turn(desk: Desk) -> None:
    ids = desk.home.submit(clerk(desk.home, maxConcurrent=1), 3)
    claims = desk.claim()
    assert [allowed(desk.ask(held)) for held in claims] == [True, False, False]
    desk.end(claims[0], (1, 1))
    assert allowed(desk.ask(claims[0], step=2)), "it has its place already"
    assert desk.claim() == []
    desk.finish(claims[0])
    (woken,) = desk.claim()
    assert woken.task == ids[1]
    assert allowed(desk.ask(woken))
    assert desk.claim() == []
    assert desk.holds()


def test_a_tool_is_called_only_so_often_by_all_agents_together(desk: Desk) -> None:
    tool = {"type": "python", "function": "f", "requires": [{"read": "x"}]}
    desk.home.record("Tool", "t", {**tool, "limits": {"max_calls_per_minute": 1}})
    grants = [{"name": "t", "permissions": [{"read": "x"}]}]
    desk.home.submit(desk.home.record("Agent", "clerk", {"model": "m", "tools": grants}), 2)
    first, second = desk.claim()
    assert allowed(desk.call(first))
    said = desk.call(second)
    assert isinstance(said, Parking)
    assert desk.home.rows("SELECT count(*) FROM step") == [(1,)], "a refused call began"
    desk.end(first, (0, 0), step=2, tool="t", model=None)
    desk.later(MINUTE_US + 1_000_000)
    assert len(desk.claim()) == 1


def test_an_answer_without_any_limit_is_bounded_by_the_manifest_alone(desk: Desk) -> None:
    spec = {"model": "m", "limits": {"max_output_tokens": 77}}
    desk.home.submit(desk.home.record("Agent", "clerk", spec))
    (held,) = desk.claim()
    assert desk.ask(held).output_max == 77
    assert desk.amounts() == []


def test_a_clock_that_is_set_back_gives_no_room(desk: Desk) -> None:
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=100), 2)
    first, second = desk.claim()
    desk.ask(first)
    desk.end(first, (50, 50))
    (ahead,) = desk.home.rows("SELECT newest_at FROM limit_clock")
    if desk.home.url:
        with desk.home.database.write() as connection:
            change = "UPDATE limit_clock SET newest_at = newest_at + 3600000000"
            connection.exec_driver_sql(change)
    else:
        desk.now_us -= 3_600_000_000
    said = desk.ask(second)
    assert isinstance(said, Parking) or desk.home.url, "an hour ahead the window is empty"
    (now,) = desk.home.rows("SELECT newest_at FROM limit_clock")
    assert now >= ahead
    assert desk.holds()


def test_a_clock_that_cannot_be_read_is_a_denial(desk: Desk) -> None:
    if desk.home.url:
        pytest.skip("a server that answers has a clock")
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=100))
    (held,) = desk.claim()
    desk.now_us = 0
    said = desk.ask(held)
    assert (said.decision, said.reason) == (
        Decision.DENY,
        "the clock of the database cannot be read",
    )


def test_the_log_says_of_every_call_what_was_set_aside_and_used(desk: Desk) -> None:
    desk.home.submit(clerk(desk.home, maxTokensPerMinute=250))
    (held,) = desk.claim()
    desk.ask(held)
    desk.end(held, (10, 20))
    reserved, settled = [e for e in desk.home.entries() if e["type"].startswith("tokens.")]
    assert reserved["charges"] == [["tokens_per_minute", "default/clerk", 100, 250]]
    assert reserved["rule"] == "agents/clerk.yaml:1"
    assert (reserved["tokens_in"], reserved["tokens_out"]) == (50, 50)
    assert settled["charges"] == [["tokens_per_minute", "default/clerk", 30, 250]]
    assert settled["at"] >= reserved["at"]
