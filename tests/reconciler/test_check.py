"""Across files: one name is declared once, and what must exist exists."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import check, manifest
from reconciler.problem import Problem, Severity
from reconciler.resource import Resource
from runner.contract.kinds import AgentSystem, Key


def declare(kind: str, name: str, spec: str, path: str = "a.yaml") -> Resource:
    text = f"apiVersion: orloj.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    parsed = manifest.parse(text.encode(), path, lambda value: ("digest", "ciphertext"))
    return parsed.resources[0]


def nothing(key: Key) -> bool:
    """Nothing is declared elsewhere but the endpoint that agents ask by default."""
    return (key.kind, key.name) == ("ModelEndpoint", "default")


def everything(key: Key) -> bool:
    return True


def test_a_name_declared_twice_names_both_places() -> None:
    first = declare("Agent", "a", "{model: x}", "one.yaml")
    second = declare("Agent", "a", "{model: y}", "two.yaml")

    assert check.check([first, second], nothing, ()) == [
        Problem(
            "two.yaml",
            1,
            1,
            "agent/default/a is declared twice: also at one.yaml:1",
            "rename or remove one of them",
        )
    ]


def test_the_same_name_in_another_kind_or_namespace_is_another_resource() -> None:
    agent = declare("Agent", "a", "{model: x}")
    elsewhere = declare("Agent", "a, namespace: b", "{model: x}")
    tool = declare("Tool", "a", "{type: command, command: [x]}")

    assert not check.check([agent, elsewhere, tool], nothing, ())


@pytest.mark.parametrize(
    ("agent", "endpoint", "answered"),
    [
        ("{model: gpt-4}", "default", True),
        ("{model: gpt-4}", "gpt-4", True),
        ("{model: gpt-4}", "other", False),
        ("{model: gpt-4}", "default, namespace: other", False),
        ("{model_ref: other}", "other", True),
    ],
)
def test_an_agent_whose_model_no_endpoint_answers_is_told_where_one_is_looked_for(
    agent: str, endpoint: str, answered: bool
) -> None:
    files = [
        declare("Agent", "a", agent),
        declare("ModelEndpoint", endpoint, "{provider: mock, default_model: m}", "m.yaml"),
    ]
    found = check.check(files, lambda key: False, ())
    if answered:
        assert found == []
        return
    (problem,) = found
    assert (problem.line, problem.severity) == (4, Severity.WARNING)
    assert problem.message == (
        "`model`: neither ModelEndpoint `default/gpt-4` nor `default/default` is declared:"
        " their tasks fail"
    )


def test_a_fallback_that_is_not_declared_is_an_error_where_it_is_named() -> None:
    agent = declare("Agent", "a", "{model: gpt-4, fallback_model_refs: [spare]}")
    (problem,) = check.check([agent], nothing, ())
    assert problem.severity is Severity.ERROR
    assert problem.message == "ModelEndpoint `spare` is not declared"


def test_a_namespace_is_named_like_the_one_it_governs() -> None:
    governing = declare("Namespace", "ops, namespace: ops", "{compat: strict}")
    astray = declare("Namespace", "ops", "{compat: permissive}")

    (problem,) = check.check([governing, astray], nothing, ())

    assert problem.severity is Severity.ERROR
    assert problem.message == (
        "a Namespace is named like the namespace it stands in: `default`"
    )


def test_a_missing_requirement_is_an_error_where_it_is_named() -> None:
    agent = declare("Agent", "triage", "{model: x}")
    task = declare("Task", "t", "{agent: triagee}", "t.yaml")

    (problem,) = check.check([agent, task], nothing, ())

    assert (problem.path, problem.line, problem.column) == ("t.yaml", 4, 15)
    assert problem.severity is Severity.ERROR
    assert problem.message == "Agent `triagee` is not declared"
    assert problem.hint == "did you mean `triage`?"


def test_names_that_are_recorded_are_suggested_too() -> None:
    def names(kind: str, namespace: str) -> Iterable[str]:
        return ["triage"] if (kind, namespace) == ("Agent", "ops") else []

    (problem,) = check.check([declare("Task", "t", "{agent: ops/triag}")], nothing, (), names)

    assert problem.message == "Agent `ops/triag` is not declared"
    assert problem.hint == "did you mean `triage`?"


def test_a_missing_tool_is_a_warning_that_says_what_follows() -> None:
    agent = declare("Agent", "a", "{model: x, tools: [scan]}")

    (problem,) = check.check([agent], nothing, ())

    assert problem.severity is Severity.WARNING
    assert problem.message == "Tool `scan` is not declared: every call to it is denied"


def test_a_requirement_that_may_stand_elsewhere_is_only_a_warning() -> None:
    task = declare("Task", "t", "{agent: a}")
    agent = declare("Agent", "b", "{model: x, tools: [scan]}")

    problems = check.check([task, agent], nothing, (), complete=False)

    assert {problem.severity for problem in problems} == {Severity.WARNING}
    assert {problem.message for problem in problems} == {
        "Agent `a` is not in the files given",
        "Tool `scan` is not in the files given",
    }


def test_what_is_known_is_not_missing() -> None:
    assert not check.check([declare("Task", "t", "{agent: a}")], everything, ())


def test_what_others_require_cannot_be_deleted() -> None:
    task, agent = Key("default", "Task", "t"), Key("default", "Agent", "a")

    (problem,) = check.check([], nothing, [(task, "t.yaml", 7, agent)])

    assert (problem.path, problem.line) == ("t.yaml", 7)
    assert problem.message == "task/default/t needs agent/default/a, which this commit deletes"


LOOP = "{agents: [a, b], graph: {a: {next: b}, b: {next: a}}}"


@pytest.mark.parametrize(
    ("turns", "spec", "wrong"),
    [
        (0, LOOP, True),
        (6, LOOP, False),
        (0, "{agents: [a, b, c], graph: {a: {edges: [{to: b}, {to: c}]}}}", False),
        (0, "{agents: [a, b], graph: {a: {delegates: [{to: b}]}}}", False),
    ],
    ids=["loop", "bounded", "fan-out", "delegation"],
)
def test_a_loop_that_no_task_bounds_is_an_error(turns: int, spec: str, wrong: bool) -> None:
    system = declare("AgentSystem", "s", spec)
    task = declare("Task", "t", f"{{system: s, max_turns: {turns}}}", "t.yaml")

    problems = [p for p in check.check([system, task], everything, ()) if "loop" in p.message]

    assert bool(problems) == wrong
    assert all(p.severity is Severity.ERROR and p.path == "t.yaml" for p in problems)


@pytest.mark.parametrize(("mode", "warned"), [("run", True), ("template", False)])
def test_a_schedule_of_a_task_that_runs_when_applied_is_a_warning(
    mode: str, warned: bool
) -> None:
    task = declare("Task", "t", f"{{mode: {mode}, agent: a}}")
    schedule = declare("TaskSchedule", "s", "{task_ref: t, schedule: '@daily'}", "s.yaml")

    problems = check.check([task, schedule], everything, ())

    assert [p.path for p in problems] == ["s.yaml"] * warned
    assert all(p.severity is Severity.WARNING for p in problems)


def test_a_schedule_of_a_task_that_is_not_declared_is_an_error() -> None:
    schedule = declare("TaskSchedule", "s", "{task_ref: ops/t, schedule: '@daily'}")

    (problem,) = check.check([schedule], nothing, ())

    assert problem.severity is Severity.ERROR
    assert "Task `ops/t` is not declared" in problem.message


NODES = st.dictionaries(
    st.sampled_from("abcd"),
    st.fixed_dictionaries({}, optional={"next": st.sampled_from("abcd")})
    | st.fixed_dictionaries(
        {"edges": st.lists(st.fixed_dictionaries({"to": st.sampled_from("abcd")}), max_size=2)}
    ),
)


@given(NODES)
def test_a_task_without_a_bound_is_an_error_exactly_where_work_can_come_round(
    graph: dict[str, object],
) -> None:
    try:
        system = AgentSystem.model_validate({"agents": list("abcd"), "graph": graph})
    except ValueError:
        return
    round_trips = [name for name in "abcd" if name in onward(system, name)]
    declared = declare("AgentSystem", "s", json.dumps(system.model_dump(exclude_defaults=True)))
    task = declare("Task", "t", "{mode: run, system: s}", "t.yaml")

    problems = check.check([declared, task], everything, ())

    assert bool(problems) == bool(round_trips)


def onward(system: AgentSystem, name: str) -> set[str]:
    """Where work of an agent may come to, walked without what the program knows of graphs."""
    found: set[str] = set()
    for _ in system.agents:
        for one in [name, *found]:
            found |= {edge.to for edge in system.onward[one]}
    return found


def test_a_commit_full_of_missing_names_is_checked_in_no_time() -> None:
    agents = [
        declare("Agent", f"agent-{number}", f"{{model: x, tools: [tool-{number}]}}")
        for number in range(300)
    ]
    compared: list[str] = []

    def names(kind: str, namespace: str) -> Iterable[str]:
        compared.append(kind)
        return [f"tool-x{number}" for number in range(10_000)]

    problems = check.check(agents, nothing, (), names)

    assert len(problems) == 300
    assert len(compared) == check.SUGGESTIONS_MAX
