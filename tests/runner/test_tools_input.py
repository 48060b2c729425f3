"""Arguments reach no tool whose input_schema they do not meet, and no schema can hang us."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runner import tools
from runner.contract import input_schema
from runner.contract.input_schema import misfit, unusable
from runner.contract.kinds import Tool
from runner.contract.schema_shape import Unusable

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer", "minimum": 1},
        "name": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 64},
        "lines": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/line"}},
        "way": {"enum": ["sea", "road"]},
    },
    "required": ["amount"],
    "additionalProperties": False,
    "$defs": {"line": {"type": ["string", "number"]}},
}


def said(schema: dict[str, Any], arguments: dict[str, Any]) -> str:
    found = misfit(schema, arguments)
    assert found is not None
    return found.said


@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": 1},
        {"amount": 1.0, "name": "a-b", "way": "sea"},
        {"amount": 2, "lines": ["a", 1, "1"]},
    ],
    ids=str,
)
def test_what_meets_the_schema_passes(arguments: dict[str, Any]) -> None:
    assert misfit(ORDER, arguments) is None


@pytest.mark.parametrize(
    ("arguments", "words", "rule"),
    [
        ({}, '/: ["amount"] must be given', "/required"),
        ({"amount": "1"}, "/amount: must be of type integer", "/properties/amount/type"),
        ({"amount": True}, "/amount: must be of type integer", "/properties/amount/type"),
        ({"amount": 0}, "/amount: must meet minimum: 1", "/properties/amount/minimum"),
        ({"amount": 1, "x": 1}, '/: "x" is not declared', "/additionalProperties"),
        ({"amount": 1, "way": "air"}, '/way: must be one of ["sea", "road"]', None),
        ({"amount": 1, "name": "a-"}, "/name: must meet pattern", "/properties/name/pattern"),
        ({"amount": 1, "name": "a\n"}, "/name: must meet pattern", None),
        ({"amount": 1, "lines": [1, 1.0]}, "/lines: holds a value twice", None),
        ({"amount": 1, "lines": ["a", {}]}, "/lines/1: must be of type string or number", None),
    ],
    ids=str,
)
def test_what_does_not_is_told_where_and_what_is_wanted(
    arguments: dict[str, Any], words: str, rule: str | None
) -> None:
    found = misfit(ORDER, arguments)
    assert found is not None
    assert found.said.startswith(words)
    assert rule in (None, found.rule)


def test_the_rule_says_nothing_that_stands_in_the_arguments() -> None:
    schema = {"additionalProperties": {"type": "integer"}}
    found = misfit(schema, {"canary-name": "canary-value"})
    assert found is not None
    assert "canary-name" in found.said
    assert "canary" not in found.rule


def test_a_long_value_is_not_repeated() -> None:
    assert len(said(ORDER, {"amount": "9" * 100_000})) < 600
    assert len(said({"additionalProperties": False}, {"k" * 100_000: 1})) < 600


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array"}, "arguments are an object"),
        ({"required": 5}, "at /required: 5 is not of type 'array'"),
        ({"$ref": "http://127.0.0.1:1/x"}, "nothing is fetched"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "nothing is fetched"),
        ({"$ref": "#/foo", "foo": {"pattern": "(a+)+$"}}, "leads to no schema"),
        ({"$ref": "#"}, "refers to itself without an end"),
        ({"$schema": "http://evil.example/x"}, "there is no dialect"),
        ({"properties": {"a": {"$id": "http://a/b"}}}, "only the whole schema may have an $id"),
        ({"unevaluatedProperties": False}, "write additionalProperties"),
        ({"$dynamicRef": "#x"}, "write $ref"),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "cannot be matched in bounded time"),
        ({"properties": {"a": {"pattern": r"(a)\1"}}}, "cannot be matched in bounded time"),
        ({"properties": {"a": {"pattern": "(a{1000}){1000}"}}}, "cannot be matched in bounded"),
        ({"patternProperties": {"[": {}}}, "cannot be matched in bounded time"),
        ({"properties": {"a": {"pattern": "a" * 1_001}}}, "at most 1000 letters"),
        ({"description": "x" * 70_000}, "longer than 65536"),
        ({"default": math.nan}, "no JSON value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_schema_that_cannot_be_used_says_why(schema: dict[str, Any], words: str) -> None:
    reason = unusable(schema)
    assert reason is not None
    assert words in reason


@pytest.mark.parametrize("levels", [40, 5_000])
def test_a_schema_as_deep_as_a_well_is_refused(levels: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    assert "deeper than" in str(unusable(schema))


def test_data_that_looks_like_a_schema_is_data() -> None:
    schema = {
        "properties": {"pattern": {"enum": [{"$ref": "http://a/b"}]}, "$ref": {"const": "x"}},
        "default": {"$ref": "http://a/b", "pattern": "(?=a)"},
    }
    assert unusable(schema) is None
    assert misfit(schema, {"pattern": {"$ref": "http://a/b"}, "$ref": "x"}) is None


@pytest.mark.parametrize(
    "dialect",
    ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema"]
    + [
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-04/schema#",
    ],
)
def test_the_dialects_that_tools_are_written_in_are_read(dialect: str) -> None:
    schema = {**ORDER, "$schema": dialect}
    assert unusable(schema) is None
    assert misfit(schema, {"amount": "x"}) is not None


def test_a_pattern_that_runs_away_elsewhere_is_matched_at_once() -> None:
    schema = {"properties": {"a": {"pattern": "^(a|a|aa)*(a+)+$"}}}
    assert misfit(schema, {"a": "a" * 50_000 + "!"}) is not None


def test_references_that_double_at_each_step_run_out_of_budget() -> None:
    steps = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**steps, "a40": {}}}
    assert "too many" in said(schema, {})


@pytest.mark.parametrize(
    "arguments",
    [
        {"lines": [[n] for n in range(200_000)]},
        {"lines": [f"{n}" + "x" * 1_000_000 for n in range(10)]},
        {"names": {f"n{n}": n for n in range(200_000)}},
        {"text": "a" * 1_000_000},
    ],
    ids=["many", "long", "many names", "long text"],
)
def test_arguments_that_take_too_long_do_not_pass(arguments: dict[str, Any]) -> None:
    schema = {
        "properties": {
            "lines": {"uniqueItems": True},
            "names": {"patternProperties": {"^n": {"type": "integer"}}},
            "text": {"pattern": "b"},
        }
    }
    assert "too many to be checked" in said(schema, arguments)


def test_a_recursive_schema_is_followed_as_deep_as_the_arguments_go() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "n": {"type": "integer"}}}
    assert unusable(tree) is None
    assert misfit(tree, {"left": {"left": {"n": 1}}}) is None
    assert said(tree, {"left": {"left": {"n": "x"}}}).startswith("/left/left/n:")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "-"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
schemas = st.recursive(
    st.sampled_from(
        [{"type": "integer"}, {"type": ["string", "null"]}, {"minimum": 1}, {"pattern": "^a"}]
        + [{"required": ["a"]}, {"uniqueItems": True}, {"maxItems": 1}, {"const": 1}, False]
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=6,
)


@given(schemas, st.dictionaries(st.sampled_from("abc"), values, max_size=3))
def test_the_verdict_is_the_one_of_the_library(schema: Any, arguments: dict[str, Any]) -> None:
    whole = {"properties": {"a": schema}}
    expected = Draft202012Validator(whole).is_valid(arguments)
    assert (misfit(whole, arguments) is None) is expected


def test_a_tool_without_a_schema_takes_everything_and_loads_no_library() -> None:
    assert tools.misfit(Tool.model_validate({"endpoint": "http://a"}), {"x": 1}) is None


def test_a_recorded_schema_that_cannot_be_used_lets_no_call_pass() -> None:
    spec = {"endpoint": "http://a", "input_schema": {"$ref": "http://b"}}
    found = tools.misfit(Tool.model_validate(spec), {})
    assert found is not None
    assert found["code"] == "runtime_policy_invalid"
    with pytest.raises(Unusable):
        input_schema.misfit(spec["input_schema"], {})  # type: ignore[arg-type]
