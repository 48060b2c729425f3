"""A plan says exactly what must change, why, and what may not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.change import Action, Plan, Target
from reconciler.plan import PlanRequest, explain, plan
from reconciler.resource import Recorded, Resource
from runner.contract.kinds import Key, digest

GIT = "git:default"
TARGET = Target(owner=GIT, source="default", commit="b" * 40, previous_commit="a" * 40)

States = dict[Key, tuple[str, str]]  # A key's model and file.
states = st.dictionaries(
    st.builds(lambda name: Key("default", "Agent", name), st.sampled_from("abcdefgh")),
    st.tuples(st.sampled_from(["gpt-1", "gpt-2"]), st.sampled_from(["x.yaml", "y.yaml"])),
)


def desired(state: States) -> dict[Key, Resource]:
    return {key: resource(key, model, path) for key, (model, path) in state.items()}


def recorded(state: States, owner: str = GIT) -> dict[Key, Recorded]:
    return {
        key: record(resource(key, model, path), owner) for key, (model, path) in state.items()
    }


def resource(key: Key, model: str = "gpt-1", path: str = "x.yaml", line: int = 1) -> Resource:
    body = f'{{"spec":{{"model":"{model}"}}}}'
    return Resource(key, path, line, 1, digest(body), body, {"": line}, blob="0" * 40)


def record(made: Resource, owner: str = GIT) -> Recorded:
    return Recorded(
        *(made.key, owner, "a" * 40, made.path, made.line, made.spec_hash, made.body, 1),
        blob=made.blob,
    )


def planned(want: dict[Key, Resource], have: dict[Key, Recorded], **rest: object) -> Plan:
    return plan(PlanRequest(target=TARGET, desired=want, recorded=have, **rest))


def applied(made: Plan, have: dict[Key, Recorded]) -> dict[Key, Recorded]:
    result = dict(have)
    for change in made.changes:
        if change.after is None or change.previous is not None:
            del result[change.previous or change.key]
        if change.after is not None:
            result[change.key] = record(change.after, made.target.owner)
    for item in made.relocated:
        result[item.key] = record(item, made.target.owner)
    return result


@given(states)
def test_planning_what_is_already_there_changes_nothing(state: States) -> None:
    made = planned(desired(state), recorded(state))
    assert made.changes == made.relocated == ()
    assert made.unchanged == len(state)


@given(states, states)
def test_applying_a_plan_makes_what_was_desired(before: States, after: States) -> None:
    made = planned(desired(after), recorded(before))
    assert applied(made, recorded(before)) == recorded(after)


@given(states, states)
def test_planning_only_what_was_touched_gives_the_same_plan(
    before: States, after: States
) -> None:
    everything = planned(desired(after), recorded(before))
    touched = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    part = planned(
        {key: item for key, item in desired(after).items() if key in touched},
        {key: item for key, item in recorded(before).items() if key in touched},
        untouched=len({*before, *after} - touched),
    )
    assert (part.id, part.changes, part.unchanged, part.counts) == (
        everything.id,
        everything.changes,
        everything.unchanged,
        everything.counts,
    )


@given(states, states)
def test_explaining_a_plan_does_not_make_it_another(before: States, after: States) -> None:
    made = planned(desired(after), recorded(before))
    told = explain(made)
    assert told.id == made.id
    assert [replace(change, fields=()) for change in told.changes] == list(made.changes)
    assert all(change.fields for change in told.changes if change.action is Action.CREATE)


@pytest.mark.parametrize(
    ("path", "model", "removed", "reason"),
    [
        pytest.param("x.yaml", "gpt-2", (), "its manifest changed", id="changed"),
        pytest.param("y.yaml", "gpt-1", (), "moved from x.yaml", id="moved"),
        pytest.param("y.yaml", "gpt-2", (), "changed and moved from x.yaml", id="both"),
        pytest.param(None, "", ("x.yaml",), "because x.yaml was deleted", id="file deleted"),
        pytest.param(None, "", (), "because it is no longer in x.yaml", id="taken out"),
    ],
)
def test_a_change_says_why(path: str | None, model: str, removed: tuple, reason: str) -> None:
    key = Key("default", "Agent", "a")
    made = planned(
        {key: resource(key, model, path)} if path else {},
        {key: record(resource(key))},
        removed_paths=frozenset(removed),
    )
    assert [change.reason for change in made.changes] == [reason]


def test_git_takes_over_what_a_person_applied_and_says_from_whom() -> None:
    key = Key("default", "Agent", "a")
    made = planned({key: resource(key)}, {key: record(resource(key), "person:dana")})
    (change,) = made.changes
    assert (change.action, change.respecified) == (Action.UPDATE, False)
    assert change.reason == "taken over from person:dana, who applied it by hand"


@given(states)
def test_git_never_deletes_what_a_person_applied(state: States) -> None:
    assert planned({}, recorded(state, "person:dana")).changes == ()


@pytest.mark.parametrize("owner", ["person:dana", "git:other"])
def test_nobody_takes_over_what_a_repository_declares(owner: str) -> None:
    key = Key("default", "Agent", "a")
    request = PlanRequest(
        target=Target(owner=owner),
        desired={key: resource(key, "gpt-2")},
        recorded={key: record(resource(key))},
    )
    made = plan(request)
    assert made.changes == ()
    (reason,) = made.blocked
    assert reason.reason == "OwnedElsewhere"
    assert "agent/default/a belongs to git:default: x.yaml:1 at commit aaaaaaaa" in str(reason)


def test_a_resource_on_another_line_is_no_change_but_its_place_follows() -> None:
    key = Key("default", "Agent", "a")
    made = planned({key: resource(key, line=9)}, {key: record(resource(key))})
    assert (made.changes, made.unchanged) == ((), 1)
    assert [item.line for item in made.relocated] == [9]


@pytest.mark.parametrize(
    "other",
    [replace(TARGET, commit="c" * 40), replace(TARGET, serial=1)],
    ids=["commit", "serial"],
)
def test_the_id_is_bound_to_commit_and_serial(other: Target) -> None:
    key = Key("default", "Agent", "a")
    request = PlanRequest(target=TARGET, desired={key: resource(key)}, recorded={})
    assert plan(request).id != plan(replace(request, target=other)).id
    assert plan(request).id == plan(request).id
