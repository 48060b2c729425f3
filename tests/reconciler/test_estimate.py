"""An estimate adds up from what was really used, and without a price or a run there is none."""

from decimal import Decimal
from pathlib import Path

import pytest
from home import Home

from reconciler.change import Action, Change, Plan, Target
from reconciler.estimate import estimating
from reconciler.estimate.estimate import Asked, Estimate, Usage, estimate, sentence, tokens
from reconciler.resource import Recorded, Resource
from runner.contract import clock, kinds
from runner.contract.kinds import Agent, Key, Metadata
from runner.contract.kinds.model_endpoint import Price

CHEAP = Price(input=Decimal(1), output=Decimal(2))
DEAR = Price(input=Decimal(10), output=Decimal(20))
USED = Usage(runs=70, calls=140, tokens_in=700_000, tokens_out=70_000, days=7.0)
NOW_US = clock.now_us()
DAY_US = 86_400_000_000


def made(before: Asked, after: Asked, usage: Usage = USED) -> Estimate:
    found = estimate(before, after, usage)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("語" * 4, 3)]
)
def test_tokens_are_four_bytes_each(text: str, count: int) -> None:
    assert tokens(text) == count


def test_the_same_prompt_and_model_need_no_estimate() -> None:
    assert estimate(Asked("a", "m", CHEAP), Asked("a", "m", CHEAP), USED) is None


def test_a_longer_prompt_costs_its_tokens_at_every_call() -> None:
    found = made(Asked("", "m", CHEAP), Asked("x" * 4_000, "m", CHEAP))
    assert (found.tokens_a_call, found.tokens_a_run) == (1_000, 2_000)
    # 140 calls a week, 1 000 tokens more each, at one a million: 0.14 a week.
    assert found.cost_more == Decimal("0.14") / 7
    assert sentence(found) == "about +2 000 tokens a run; +0.02 a day at 10 runs a day"


def test_another_model_costs_what_was_used_at_its_price() -> None:
    found = made(Asked("p", "m", CHEAP), Asked("p", "n", DEAR))
    assert found.cost_before == (Decimal("0.7") + Decimal("0.14")) / 7
    assert found.cost_after == (Decimal("7") + Decimal("1.4")) / 7
    assert sentence(found) == "+1.08 a day at 10 runs a day"


def test_a_shorter_prompt_and_a_cheaper_model_save() -> None:
    found = made(Asked("x" * 400, "m", DEAR), Asked("x" * 40, "n", CHEAP))
    assert sentence(found) == "about -180 tokens a run; -1.08 a day at 10 runs a day"


def test_a_saving_never_goes_below_nothing() -> None:
    found = made(Asked("x" * 4_000_000, "m", CHEAP), Asked("", "m", CHEAP))
    assert found.cost_after == Decimal("0.14") / 7


@pytest.mark.parametrize(
    ("before", "usage", "words"),
    [
        (Asked("", "m", None), USED, "about +2 tokens a run; no cost: no price of m"),
        (
            Asked("", "m", CHEAP),
            Usage(),
            "about +1 tokens a call; no cost: no run lately",
        ),
        (
            Asked("", "n", None),
            Usage(),
            "about +1 tokens a call; no cost: no price of n and no price of m and no run"
            " lately",
        ),
    ],
    ids=["no price", "no run", "neither"],
)
def test_what_is_missing_is_said_and_nothing_made_up(
    before: Asked, usage: Usage, words: str
) -> None:
    price = before.price if before.model == "m" else None
    found = made(before, Asked("abcd", "m", price), usage)
    assert (found.cost_before, found.cost_more) == (None, None)
    assert sentence(found) == words


def test_a_change_of_less_than_a_cent_is_no_zero() -> None:
    found = made(Asked("", "m", CHEAP), Asked("x" * 4, "m", CHEAP))
    assert sentence(found) == "about +2 tokens a run; +0.00002 a day at 10 runs a day"


# What is read: prices of both sides, and the runs of the last seven days.


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Home:
    made = Home(tmp_path / "home", database_url)
    yield made
    made.close()


def endpoint(home: Home, name: str, default_model: str, prices: dict | None) -> None:
    spec = {"provider": "mock", "default_model": default_model}
    home.record("ModelEndpoint", name, spec | ({"prices": prices} if prices else {}))


def ran(home: Home, agent: str, *, days_ago: float, calls: int = 2) -> None:
    """A task that was run so long ago, with so many model calls of 1 000 and 100 tokens."""
    at_us = NOW_US - int(days_ago * DAY_US)
    task = clock.first_id(at_us)[:-6] + f"{len(home.rows('SELECT 1 FROM task')):06d}"
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO task (id, namespace, subject_kind, subject_name, input, state,"
            " priority, run_at, fence, attempt, crashes, retry, actor, tokens_in, tokens_out,"
            " created_at, requirements) VALUES (?, 'default', 'Agent', ?, '{}', 'succeeded',"
            " 0, 0, 1, 1, 0, '{}', 'person:test', 0, 0, ?, '')",
            (task, agent, at_us),
        )
        for number in range(calls):
            connection.exec_driver_sql(
                "INSERT INTO step (task_id, number, agent, kind, name, request, phase, fence,"
                " tokens_in, tokens_out, started_at, finished_at)"
                " VALUES (?, ?, ?, 'model', 'm', '{}', 'done', 1, 1000, 100, ?, ?)",
                (task, number, agent, at_us, at_us),
            )


def planned(before: dict, after: dict, name: str = "triage", old: str = "triage") -> Plan:
    texts = [
        kinds.canonical(Metadata(name=name), Agent.model_validate(spec))
        for spec in (before, after)
    ]
    keys = [Key("default", "Agent", old), Key("default", "Agent", name)]
    recorded = Recorded(keys[0], "git:default", "a" * 40, "a.yaml", 1, "old", texts[0], 1)
    desired = Resource(keys[1], "a.yaml", 1, 1, "new", texts[1], {})
    action = Action.UPDATE if name == old else Action.MOVE
    change = Change(action, keys[1], "changed", recorded, desired)
    return Plan(id="", target=Target(owner="git:default"), changes=(change,), unchanged=0)


def estimated(home: Home, made: Plan) -> Estimate:
    with home.database.read() as connection:
        (found,) = estimating.estimates(connection, made, NOW_US).values()
    return found


def test_what_an_agent_used_in_seven_days_is_read(home: Home) -> None:
    endpoint(home, "default", "m", {"m": {"input": 1, "output": 2}})
    for days in (6.5, 3, 1, 0.5):
        ran(home, "triage", days_ago=days)
    ran(home, "triage", days_ago=8)  # Longer ago than is counted.
    ran(home, "closer", days_ago=1)
    found = estimated(home, planned({"model": "m"}, {"model": "m", "prompt": "x" * 400}))
    assert found.usage == Usage(runs=4, calls=8, tokens_in=8_000, tokens_out=800, days=6.5)
    assert found.tokens_a_run == 200


def test_the_prices_of_both_sides_are_read(home: Home) -> None:
    endpoint(home, "default", "m", {"m": {"input": 1, "output": 2}})
    endpoint(home, "big", "huge", {"*": {"input": 10, "output": 20}})
    ran(home, "triage", days_ago=0.1)
    found = estimated(home, planned({"model": "m"}, {"model_ref": "big"}))
    assert (found.model_before, found.model_after) == ("m", "huge")
    assert found.cost_before * 10 == found.cost_after == Decimal("0.024")
    assert found.usage.days == 1.0  # One run today is not a trend of many.


def test_a_moved_agent_is_known_by_what_it_used_as_another(home: Home) -> None:
    endpoint(home, "default", "m", {"m": {"input": 1, "output": 2}})
    ran(home, "triage", days_ago=1)
    found = estimated(home, planned({"model": "m"}, {"model": "n"}, name="first-line"))
    assert found.usage.runs == 1
    assert found.missing == ("no cost: no price of n",)


def test_a_plan_that_changes_no_prompt_reads_nothing(home: Home) -> None:
    with home.database.read() as connection:
        made = planned({"model": "m"}, {"model": "m", "description": "new"})
        assert estimating.estimates(connection, made, NOW_US) == {}
