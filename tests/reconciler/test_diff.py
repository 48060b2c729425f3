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


LONG = "You triage the claims of customers in five steps, and then you stop.\nBe brief.\n"


def prompts(*texts: str) -> dict[str, object]:
    return {"turns": [{"prompt": text, "tool": f"tool-{at}"} for at, text in enumerate(texts)]}


def test_a_long_text_in_a_list_is_told_by_its_words_and_by_what_it_stands_in() -> None:
    before, after = prompts("Begin.", LONG), prompts("Begin.", LONG.replace("five", "six"))
    (found,) = diff(before, after)
    assert (found.path, found.within) == ("turns[1].prompt", "tool: tool-1")
    assert ("-", "five") in found.words
    assert ("+", "six") in found.words


def test_a_long_text_that_is_itself_an_item_is_told_by_its_words() -> None:
    (found,) = diff({"rules": ["a", LONG]}, {"rules": ["a", LONG.replace("brief", "kind")]})
    assert found.path == "rules[1]"
    assert ("+", "kind") in found.words
    assert found.after == LONG.replace("brief", "kind")


def test_an_item_that_came_or_went_is_shown_as_it_is() -> None:
    (found,) = diff({"rules": ["a"]}, {"rules": ["a", {"prompt": LONG}]})
    assert (found.before, found.after) == (None, {"prompt": LONG})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("a b\n", "a  b\n", "only white space differs"),
        ("a b c", "a bc", "only white space differs"),
        ("a\r\nb\r\n", "a\nb\n", "only line ends differ: CRLF → LF"),
        ("a\nb\n", "a\r\nb\r\n", "only line ends differ: LF → CRLF"),
        (
            "caf\u00e9 au lait",
            "cafe\u0301 au lait",
            "only the coding of characters differs (Unicode normal form)",
        ),
        ("a b", "a c", ""),
    ],
)
def test_what_a_reader_would_not_see_is_said(before: str, after: str, said: str) -> None:
    (found,) = diff({"prompt": before}, {"prompt": after})
    assert found.remark == said


@pytest.mark.parametrize(
    ("before", "after", "came"),
    [
        ("申請を確認して、百円を超えたら報告。", "申請を確認して、千円を超えたら報告。", "千"),
        ("say cafe\u0301 to " + LONG, "say caffe\u0301 to " + LONG, "caffe\u0301"),
        ("say 👍🏽 to " + LONG, "say 👍🏿 to " + LONG, "👍🏿"),
    ],
    ids=["no spaces", "a mark", "a modifier"],
)  # fmt: skip
def test_a_word_is_a_word_in_any_script(before: str, after: str, came: str) -> None:
    (found,) = diff({"prompt": before * 4}, {"prompt": after * 4})
    assert {text for sign, text in found.words if sign == "+"} == {came}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("a b " * 65_000, "b a " * 65_000, id="one line, all of it"),
        pytest.param("x y\n" * 65_000, "y x\n" * 65_000, id="many lines, all of them"),
        pytest.param("".join(f"a{at} " for at in range(40_000)), "b " * 120_000, id="nothing"),
        pytest.param("a b " * 130, "b a a " * 90, id="one hunk within its bound"),
    ],
)
def test_a_text_of_a_quarter_mebibyte_is_told_whatever_it_is(before: str, after: str) -> None:
    runs = words(before, after)
    assert "".join(text for sign, text in runs if sign != "+") == before
    assert "".join(text for sign, text in runs if sign != "-") == after
    (found,) = diff({"list": [{"prompt": before}]}, {"list": [{"prompt": after}]})
    assert (found.before, found.after) == (before, after)


def test_one_word_of_a_quarter_mebibyte_is_found() -> None:
    for text in ("be brief and kind " * 14_000, "be brief and kind\n" * 14_000):
        at = len(text) // 2
        changed = text[:at] + text[at:].replace("brief", "long", 1)
        assert [run for run in words(text, changed) if run[0] != "="] == [
            ("-", "brief"), ("+", "long"),
        ]  # fmt: skip
