"""A linear system runs each of its agents once, in one order; any other is refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import workflow
from runner.contract.errors import Refused
from runner.contract.kinds import AgentSystem


def system(agents: list[str], graph: dict[str, object] | None = None) -> AgentSystem:
    return AgentSystem.model_validate({"agents": agents, "graph": graph or {}})


def test_without_a_graph_the_list_is_the_order() -> None:
    assert workflow.order(system(["c", "a", "b"])) == ["c", "a", "b"]


def test_the_graph_is_the_order_whatever_the_list_says() -> None:
    graph = {"b": {"next": "c"}, "a": {"edges": [{"to": "b"}]}}
    assert workflow.order(system(["c", "b", "a"], graph)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        ({"a": {"next": "a"}, "b": {"next": "c"}}, "leaves agents out"),
        ({"a": {"next": "b"}, "b": {"next": "c"}, "c": {"next": "a"}}, "not one line"),
        ({"a": {"next": "b"}, "b": {"next": "c"}, "c": {"next": "b"}}, "loop"),
        ({"a": {"edges": [{"to": "b"}, {"to": "c"}]}}, "not one line"),
        ({"a": {"next": "c"}, "b": {"next": "c"}}, "not one line"),
        ({"a": {"next": "b"}}, "not one line"),
        ({"b": {"next": "c"}, "c": {"next": "b"}}, "leaves agents out"),
    ],
    ids=["own tail", "ring", "tail bites", "branch", "join", "missing", "ring beside"],
)
def test_what_is_not_one_line_through_all_is_refused(
    graph: dict[str, object], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        workflow.order(system(["a", "b", "c"], graph))


NAMES = ["a", "b", "c", "d"]
EDGES = st.dictionaries(
    st.sampled_from(NAMES), st.builds(lambda to: {"next": to}, st.sampled_from(NAMES))
)


@given(st.permutations(NAMES), EDGES)
def test_an_order_has_every_agent_once_or_there_is_none(
    agents: list[str], graph: dict[str, object]
) -> None:
    try:
        order = workflow.order(system(agents, graph))
    except Refused:
        return
    assert sorted(order) == NAMES


@given(st.permutations(NAMES), st.permutations(NAMES))
def test_every_line_is_followed(agents: list[str], line: list[str]) -> None:
    graph = {name: {"next": after} for name, after in pairwise(line)}
    assert workflow.order(system(agents, graph)) == line
