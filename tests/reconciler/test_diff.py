"""A diff names each field that differs, and says nothing when nothing does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.change import FieldChange
from reconciler.diff import diff
from reconciler.word_diff import words

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab\n ", max_size=6)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "read", "x", "y"]), inner, max_size=3)
    ),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(["spec", "labels"]), values, max_size=2)


@given(bodies)
def test_a_body_does_not_differ_from_itself(body: dict[str, object]) -> None:
    assert diff(body, json.loads(json.dumps(body))) == ()


@given(bodies, bodies)
def test_two_bodies_that_differ_always_have_a_field_that_says_so(
    before: dict[str, object], after: dict[str, object]
) -> None:
    # A field that is null is as good as absent: canonical bodies hold no nulls.
    before, after = _without_nulls(before), _without_nulls(after)
    differs = json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)
    assert bool(diff(before, after)) == differs


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


@given(st.text("ab \n.", max_size=40), st.text("ab \n.", max_size=40))
def test_the_words_of_a_diff_rebuild_both_texts(before: str, after: str) -> None:
    runs = words(before, after)
    assert "".join(text for sign, text in runs if sign != "+") == before
    assert "".join(text for sign, text in runs if sign != "-") == after


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(
            {"model": "a"}, {"model": "b"}, FieldChange("spec.model", "a", "b"), id="scalar"
        ),
        pytest.param({}, {"model": "b"}, FieldChange("spec.model", None, "b"), id="added"),
        pytest.param({"n": 1}, {"n": True}, FieldChange("spec.n", 1, True), id="type only"),
        pytest.param(
            {"tools": [{"name": "scan", "permissions": [{"read": "docs"}]}]},
            {"tools": [{"name": "scan", "permissions": [{"read": "docs"}, {"write": "docs"}]}]},
            FieldChange("spec.tools[scan].permissions", None, "write: docs"),
            id="permission inside a named item",
        ),
        pytest.param(
            {"tools": [{"name": "a"}, {"name": "b"}]},
            {"tools": [{"name": "b"}, {"name": "a"}]},
            FieldChange("spec.tools (order)", ["a", "b"], ["b", "a"]),
            id="order of named items",
        ),
        pytest.param(
            {"agents": ["a", "c"]},
            {"agents": ["a", "b", "c"]},
            FieldChange("spec.agents[1]", None, "b"),
            id="item put into the middle of a list",
        ),
        pytest.param(
            {"tools": [{"name": "a"}]},
            {},
            FieldChange("spec.tools[a].name", "a", None),
            id="list gone",
        ),
    ],
)
def test_one_change_is_one_field(
    before: dict[str, object], after: dict[str, object], expected: FieldChange
) -> None:
    assert diff({"spec": before}, {"spec": after}) == (expected,)


def test_a_prompt_is_compared_by_words() -> None:
    before = "Escalate when the amount\nexceeds 100 EUR. Be brief.\n"
    (change,) = diff(
        {"spec": {"prompt": before}}, {"spec": {"prompt": before.replace("100", "1000")}}
    )
    assert change.words == (
        ("=", "Escalate when the amount\nexceeds "),
        ("-", "100"),
        ("+", "1000"),
        ("=", " EUR. Be brief.\n"),
    )


def test_texts_too_long_to_compare_are_shown_as_a_whole() -> None:
    before, after = "a\n" * 100_000, "b\n" * 100_000
    assert words(before, after) == (("-", before), ("+", after))


@pytest.mark.timeout(10)
def test_a_hostile_text_costs_bounded_time() -> None:
    before = ("ab " * 300 + "\n") * 60
    assert words(before, before.replace("ab", "ba")) != ()
