"""Tasks start by priority, then by age, and a flood of one agent holds no other back.

What no worker here may take is passed by, and costs a look-up and not a walk.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from home import Home
from sqlalchemy import Connection

from runner import claim, order, queue
from runner.claim import Offer, Slots
from runner.contract.kinds import Key
from runner.ledger import Ledger
from runner.order import Order

FLOOD, QUIET, THIRD = (Key("default", "Agent", name) for name in ("flood", "quiet", "third"))


@pytest.fixture
def connection(home: Home) -> Iterator[Connection]:
    with home.database.connect() as found:
        yield found


def taken(connection: Connection, limit: int = 100, **more: Any) -> list[str]:
    offer = more.pop("offer", Offer())
    ids = [task.id for task in Order(connection, offer).next(limit, more)]
    connection.rollback()
    return ids


def test_one_agent_alone_is_served_by_age(home: Home, connection: Connection) -> None:
    tasks = home.submit(FLOOD, 5)
    assert taken(connection) == tasks


def test_a_flood_shares_the_slots_with_one_task_of_another(
    home: Home, connection: Connection
) -> None:
    flood = home.submit(FLOOD, 50)
    (quiet,) = home.submit(QUIET)
    assert taken(connection, 3) == [flood[0], quiet, flood[1]]


def test_what_runs_counts_as_turns_had(home: Home, connection: Connection) -> None:
    flood = home.submit(FLOOD, 3)
    quiet = home.submit(QUIET, 3)
    found = [
        task.id
        for task in Order(connection, Offer()).next(4, {"default/Agent/flood": 2, "other": 9})
    ]
    assert found == [quiet[0], quiet[1], flood[0], quiet[2]]


def test_what_was_just_claimed_counts_when_a_task_cannot_start(
    home: Home, connection: Connection
) -> None:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    for agent in (FLOOD, QUIET):
        home.record("Agent", agent.name, {"model": "m"})
    flood = home.submit(FLOOD, 2)
    home.submit(THIRD)  # Is not declared, so another one is looked for in its place.
    (quiet,) = home.submit(QUIET)
    with home.database.writing(connection):
        ledger = Ledger(connection, "host", crashes_max=3)
        claims = ledger.claim(Slots([("w1", 0, 2)]), "host", 0, 0)
    assert [held.task for _, held in claims] == [flood[0], quiet]


def test_priority_goes_before_fairness(home: Home, connection: Connection) -> None:
    (low,) = home.submit(QUIET, priority="low")
    normal = home.submit(FLOOD, 3)
    (critical,) = home.submit(FLOOD, priority="critical")
    assert taken(connection) == [critical, *normal, low]


def test_many_requirements_do_not_give_an_agent_many_turns() -> None:
    lanes = [
        ('d/Agent/a {"gpu": true}', ["3"]),
        ("d/Agent/a {}", ["1", "2"]),
        ("d/Agent/b {}", ["4"]),
    ]
    assert claim.fair(lanes, {}, 10) == ["1", "4", "2", "3"]


@pytest.mark.parametrize(
    ("needs", "offer", "expected"),
    [
        ({}, Offer(), True),
        ({"region": "eu"}, Offer(), False),
        ({"region": "eu"}, Offer(region="eu"), True),
        ({"region": "eu"}, Offer(region="us"), False),
        ({"gpu": True}, Offer(), False),
        ({"gpu": True}, Offer(gpu=True), True),
        ({"gpu": False}, Offer(), True),
        ({"model": "m"}, Offer(), True),
        ({"model": "m"}, Offer(models=frozenset("mn")), True),
        ({"model": "m"}, Offer(models=frozenset("n")), False),
        ({"region": "eu", "gpu": True}, Offer(region="eu"), False),
    ],
    ids=[
        *("nothing", "no-region", "its-region", "other-region", "no-gpu", "a-gpu", "any-gpu"),
        *("any-model", "its-model", "other-model", "half-of-it"),
    ],
)
def test_a_task_fits_a_worker_that_offers_what_it_needs(
    needs: dict[str, Any], offer: Offer, expected: bool
) -> None:
    assert claim.fits(needs, offer) is expected


def test_tasks_that_nobody_here_may_take_hold_nobody_back(
    home: Home, connection: Connection
) -> None:
    unfit = home.submit(FLOOD, 3, requirements={"gpu": True})
    assert not Order(connection, Offer()).waiting()
    connection.rollback()  # What comes is after the moment that this connection sees.
    fit = home.submit(FLOOD, 2)
    assert taken(connection) == fit
    assert sorted(taken(connection, offer=Offer(gpu=True))) == sorted(unfit + fit)


def test_more_lanes_than_one_pass_looks_at_all_have_their_turn(
    home: Home, connection: Connection
) -> None:
    count = order.LANES_MAX + 3
    for number in range(count):
        needs = {"region": "nowhere"} if number < order.LANES_MAX else {}
        home.submit(Key("default", "Agent", f"a{number:04}"), requirements=needs)
    line = Order(connection, Offer())
    assert not line.waiting(), "the first pass sees only tasks that do not fit"
    assert line.waiting()
    assert {task.subject.name for task in line.next(10, {})} == {
        f"a{number:04}" for number in range(order.LANES_MAX, count)
    }


def test_a_pass_seeks_and_never_scans(home: Home, connection: Connection) -> None:
    statements: list[Any] = []

    class Recorder:
        def exec_driver_sql(self, statement: str, values: Any) -> Any:
            statements.append((statement, values))
            return connection.exec_driver_sql(statement, values)

    queue.lanes(Recorder(), 2, "", 10, 10)  # type: ignore[arg-type]
    ((statement, values),) = statements
    if home.database.shared:  # A table this small it would rather read, if it were let.
        connection.exec_driver_sql("SET enable_seqscan = off")
        rows = connection.exec_driver_sql("EXPLAIN " + statement, values)
        plan = [row[0].strip(" ->") for row in rows]
        assert not [line for line in plan if line.startswith("Seq Scan on task")]
        return
    plan = [
        row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values)
    ]
    assert not [line for line in plan if line.startswith("SCAN task")]
    seeks = [line for line in plan if line.startswith("SEARCH task")]
    assert len(seeks) == 3
    assert all("INDEX task_ready" in line for line in seeks)
