"""Work goes through a graph as it is drawn: each output once, each join once a round, no end
without a bound, and the same way again whenever it is looked at."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import workflow
from runner.contract.kinds import AgentSystem
from runner.workflow import Graph, Start, State, Visit

Says = Callable[[Visit], str | None]
"""What an agent says at a visit; None: it fails."""


def graph(agents: str, nodes: dict[str, Any] | None = None, max_turns: int = 0) -> Graph:
    spec = {"agents": agents.split(), "graph": nodes or {}}
    return Graph(AgentSystem.model_validate(spec), max_turns)


def to(*names: str) -> list[dict[str, str]]:
    return [{"to": name} for name in names]


def named(visit: Visit) -> str | None:
    return visit.agent


def run(
    graph: Graph,
    says: Says = named,
    pick: Callable[[list[Visit]], Visit] = lambda running: running[0],
) -> list[Visit]:
    """All visits of a run in which one visit ends after the other, as picked."""
    visits: list[Visit] = []
    while True:
        for start in workflow.ready(graph, visits):
            visits.append(Visit.begun(len(visits) + 1, start))
        running = [visit for visit in visits if visit.state is State.RUNNING]
        if not running or workflow.failure(graph, visits):
            return visits
        visit = pick(running)
        said = says(visit)
        ended = {"state": State.DONE, "output": said}
        if said is None:
            ended = {"state": State.FAILED, "error": "it could not"}
        visits[visit.number - 1] = replace(visit, **ended)
        assert len(visits) < 200


def agents(visits: list[Visit]) -> str:
    return " ".join(visit.agent for visit in visits)


FAN = {"m": {"edges": to("a", "b", "c")}, "a": {"next": "j"}, "b": {"next": "j"}}
FAN |= {"c": {"next": "j"}}


def fan(**join: Any) -> Graph:
    return graph("m a b c j", {**FAN, "j": {"join": join}})


def test_without_a_graph_the_agents_work_one_after_the_other() -> None:
    line = graph("c a b")
    assert agents(run(line)) == "c a b"
    assert workflow.output(line, run(line)) == "b"


def test_a_line_is_followed_whatever_the_list_says() -> None:
    assert agents(run(graph("c b a", {"b": {"next": "c"}, "a": {"edges": to("b")}}))) == "a b c"


def test_a_fan_out_is_joined_once_when_all_have_said_something() -> None:
    for seed in range(20):
        visits = run(fan(), pick=random.Random(seed).choice)
        assert Counter(visit.agent for visit in visits) == Counter("mabcj")
        assert visits[-1].sources == (2, 3, 4)
    assert workflow.whole(fan(), visits, visits[-1]) == "a:\na\n\nb:\nb\n\nc:\nc"


def test_a_quorum_is_enough_and_who_comes_late_changes_nothing() -> None:
    two = fan(mode="quorum", quorum_count=1, quorum_percent=50)
    visits = run(two, pick=lambda running: running[0])
    assert agents(visits) == "m a b c j"
    assert visits[-1].sources == (2, 3)
    assert workflow.output(two, visits) == "j"


def test_a_branch_that_failed_ends_the_task_unless_the_join_goes_on() -> None:
    def without_a(visit: Visit) -> str | None:
        return None if visit.agent == "a" else visit.agent

    visits = run(fan(), without_a)
    assert "j" not in agents(visits)
    assert workflow.failure(fan(), visits) == visits[1]
    for policy in ("skip", "continue_partial"):
        going_on = fan(on_failure=policy)
        visits = run(going_on, without_a)
        assert visits[-1].sources == (3, 4)
        told = workflow.whole(going_on, visits, visits[-1])
        assert told is not None
        assert ("a: no result" in told) == (policy == "continue_partial")


def test_when_every_branch_failed_nothing_is_said() -> None:
    skipping = fan(on_failure="skip")
    visits = run(skipping, lambda visit: "m" if visit.agent == "m" else None)
    assert workflow.failure(skipping, visits) is None
    assert workflow.output(skipping, visits) is None


@pytest.mark.parametrize(("policy", "joined"), [("skip", (4,)), ("continue_partial", (4, 5))])
def test_a_failed_branch_counts_against_a_quorum_unless_it_is_skipped(
    policy: str, joined: tuple[int, ...]
) -> None:
    half = graph(
        "m a b c d j",
        {
            "m": {"edges": to("a", "b", "c", "d")},
            **{name: {"next": "j"} for name in "abcd"},
            "j": {"join": {"mode": "quorum", "quorum_percent": 50, "on_failure": policy}},
        },
    )
    visits = run(half, lambda visit: None if visit.agent in "ab" else visit.agent)
    assert next(visit.sources for visit in visits if visit.agent == "j") == joined


SWARM = {"m": {"edges": to("a", "b", "s")}, "a": {"next": "m"}, "b": {"next": "m"}}


def test_a_swarm_that_reports_to_its_beginning_ends_at_its_bound() -> None:
    swarm = graph("m a b s", SWARM, max_turns=4)
    visits = run(swarm)
    assert Counter(agents(visits).split()) == {"m": 2, "a": 2, "b": 2, "s": 2}
    assert max(visit.depth for visit in visits) == 4
    assert workflow.output(swarm, visits) == "s"


def test_two_that_hand_over_to_each_other_take_as_many_turns_as_they_may() -> None:
    pair = graph("m r", {"m": {"next": "r"}, "r": {"next": "m"}}, max_turns=6)
    visits = run(pair, lambda visit: f"{visit.agent}{visit.depth}")
    assert agents(visits) == "m r m r m r"
    assert workflow.output(pair, visits) == "r6"


CRITIC = {
    "w": {"next": "c"},
    "c": {
        "edges": [
            {"to": "w", "condition": {"output_contains": "again"}},
            {"to": "p", "condition": {"output_contains": "approved"}},
        ]
    },
}


def test_a_loop_ends_when_its_condition_says_so() -> None:
    review = graph("w c p", CRITIC, max_turns=20)
    visits = run(review, lambda v: "APPROVED" if v.depth > 5 else "do it AGAIN")
    assert agents(visits) == "w c w c w c p"


def test_an_edge_is_gone_no_more_often_than_its_policy_lets_it() -> None:
    nodes = {**CRITIC, "c": {"edges": [{"to": "w", "policy": {"max_traversals": 2}}]}}
    nodes["w"] = {"edges": to("c", "p")}
    limited = graph("w c p", nodes, max_turns=50)
    assert Counter(agents(run(limited)).split()) == {"w": 3, "c": 3, "p": 3}


def test_a_join_waits_only_for_the_branches_that_were_taken() -> None:
    edges = [{"to": one, "condition": {"output_contains": one}} for one in "abc"]
    routed = graph("m a b c j", {**FAN, "m": {"edges": edges}})
    visits = run(routed, lambda visit: "a c" if visit.agent == "m" else visit.agent)
    assert agents(visits) == "m a c j"


def test_two_joins_that_wait_for_each_other_do_not_stand_still() -> None:
    ring = {"m": {"edges": to("x", "y")}, "x": {"edges": to("y", "o")}, "y": {"edges": to("x")}}
    visits = run(graph("m x y o", ring, max_turns=6))
    assert {"m", "x", "y", "o"} == set(agents(visits).split())


DELEGATION = {
    "v": {
        "delegates": [
            {"to": "a", "condition": {"output_json_path": "$.teams", "contains": "a"}},
            {"to": "b", "condition": {"output_json_path": "$.teams", "contains": "b"}},
        ],
        "edges": to("s"),
    },
    "a": {"next": "x"},
}


def teams(visit: Visit) -> str:
    return '{"teams": ["a", "b"]}' if visit.agent == "v" and visit.depth == 1 else visit.agent


def test_delegates_report_back_and_then_work_goes_on() -> None:
    delegating = graph("v a x b s", DELEGATION)
    visits = run(delegating, teams)
    assert agents(visits) == "v a b x v s"
    review = visits[4]
    assert (review.phase, review.sources) == (workflow.Phase.REVIEW, (1, 3, 4))
    told = workflow.whole(delegating, visits, review)
    assert told is not None
    assert "x:\nx" in told
    assert workflow.output(delegating, visits) == "s"


def test_who_delegates_to_nobody_goes_on_at_once() -> None:
    assert agents(run(graph("v a x b s", DELEGATION))) == "v s"


def test_a_quorum_of_delegates_is_enough() -> None:
    nodes = {
        "v": {
            "delegates": to("a", "b", "c"),
            "delegate_join": {"mode": "quorum", "quorum_count": 2},
        }
    }
    visits = run(graph("v a b c", nodes), pick=lambda running: running[0])
    assert agents(visits) == "v a b c v"
    assert visits[-1].sources == (1, 2, 3)


def test_a_delegate_may_delegate_and_a_delegation_may_fail() -> None:
    nodes = {
        "v": {"delegates": to("l"), "edges": to("s")},
        "l": {"delegates": to("a", "b")},
    }
    nested = graph("v l a b s", nodes)
    assert agents(run(nested)) == "v l a b l v s"
    failing = run(nested, lambda visit: None if visit.agent == "a" else visit.agent)
    failed = workflow.failure(nested, failing)
    assert failed is not None
    assert failed.agent == "a"


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ({"b": {"next": "c"}, "c": {"next": "b"}}, "no work ever comes to b"),
        ({"a": {"next": "d"}}, "graph names d"),
        ({"a": {"edges": to("b", "b")}}, "names an agent twice"),
        ({"a": {"next": "b", "edges": to("b")}}, "both name b"),
        ({"a": {"edges": [{"to": "b", "condition": {}}]}}, "empty condition"),
        ({"a": {"edges": [{"to": "b", "condition": {"equals": "x"}}]}}, "output_json_path"),
        ({"a": {"edges": [{"to": "b", "condition": {"output_matches": "("}}]}}, "bounded time"),
        ({"a": {"join": {"mode": "quorum"}}}, "quorum needs"),
        ({"a": {"join": {"quorum_count": 2}}}, "mode: quorum"),
    ],
)
def test_a_graph_that_cannot_be_gone_through_is_refused(
    nodes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        graph("a b c", nodes)


NAMES = "abcdef"


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any graph over a few agents that the manifest allows."""
    count = draw(st.integers(2, 6))
    names = NAMES[:count]
    some = st.lists(st.sampled_from(names), unique=True, max_size=3)
    joins = st.sampled_from(
        [
            {},
            {"on_failure": "skip"},
            {"on_failure": "continue_partial"},
            {"mode": "quorum", "quorum_percent": 50},
            {"mode": "quorum", "quorum_count": 2, "on_failure": "skip"},
        ]
    )
    nodes = {
        name: {
            "edges": to(*draw(some)),
            "join": draw(joins),
            "delegates": to(*draw(some)) if draw(st.booleans()) else [],
            "delegate_join": draw(joins),
        }
        for name in names
    }
    try:
        return graph(" ".join(names), nodes, max_turns=draw(st.integers(1, 5)))
    except ValueError:
        return graph(" ".join(names))


@given(graphs(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_any_graph_ends_within_its_bounds_and_repeats_nothing(
    graph: Graph, chance: random.Random, failing: int
) -> None:
    def says(visit: Visit) -> str | None:
        return None if chance.randrange(10) < failing else visit.agent

    visits: list[Visit] = []
    while True:
        begun = workflow.ready(graph, visits)
        assert len({(start.agent, start.sources, start.phase) for start in begun}) == len(begun)
        visits += [Visit.begun(len(visits) + n, one) for n, one in enumerate(begun, 1)]
        assert not workflow.ready(graph, visits) or not begun, "what began is ready no more"
        if workflow.failure(graph, visits) or len(visits) > 400:
            break
        running = [visit for visit in visits if visit.state is State.RUNNING]
        if not running:
            break
        visit = chance.choice(running)
        said = says(visit)
        state = State.FAILED if said is None else State.DONE
        visits[visit.number - 1] = replace(visit, state=state, output=said)
    if graph.max_turns:
        assert all(visit.depth <= graph.max_turns for visit in visits)
    keys = Counter((visit.agent, visit.sources, visit.phase) for visit in visits)
    assert all(count == 1 for count in keys.values()), "a visit was made twice"
    given = Counter(
        (source, visit.agent, visit.phase) for visit in visits for source in visit.sources
    )
    assert all(count == 1 for count in given.values()), "an output was given twice"
    for visit in visits:
        branches = [visits[source - 1].agent for source in visit.sources]
        joined = graph.joins(visit.agent) and visit.phase is workflow.Phase.WORK
        assert not joined or len(set(branches)) == len(branches), "a join counted messages"


@given(graphs())
def test_when_nothing_runs_and_nothing_is_ready_no_output_was_lost(graph: Graph) -> None:
    visits = run(graph)
    if len(visits) < 200 and workflow.failure(graph, visits) is None:
        assert workflow.ready(graph, visits) == []
        assert workflow.output(graph, visits) is not None


def test_a_start_says_all_that_a_visit_needs() -> None:
    start = Start("a", (1, 2), 3, workflow.Phase.REVIEW, 1, (4,))
    visit = Visit.begun(5, start)
    assert workflow.from_json(visit.to_json()) == visit
