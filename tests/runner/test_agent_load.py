"""What an agent's manifest asks of a turn is checked while it loads, with a way out."""

from typing import Any

import pytest
from pydantic import ValidationError

from runner.contract import output_schema
from runner.contract.kinds import Agent


def loaded(execution: dict[str, Any], **spec: Any) -> Agent:
    return Agent.model_validate(
        {"model": "m", "tools": ["search"], "execution": execution, **spec}, strict=True
    )


@pytest.mark.parametrize(
    ("execution", "said"),
    [
        ({"profile": "contract"}, "needs tool_sequence"),
        ({"profile": "contract", "tool_sequence": ["sned"]}, "names sned, which the agent"),
        ({"tool_sequence": ["search"]}, "only `profile: contract`"),
        ({"required_output_markers": ["X"]}, "only `profile: contract`"),
        ({"on_contract_violation": "observe"}, "only `profile: contract`"),
        ({"profile": "contract", "tool_sequence": [""]}, "at least 1 character"),
        ({"output_schema": {"type": "text"}}, "at /type"),
        ({"output_schema": {"$ref": "https://example.test/s"}}, "nothing is fetched"),
        ({"output_schema": {"$ref": "#/$defs/no"}}, "leads to no schema"),
        ({"output_schema": {"items": {"$ref": "file:///etc/passwd"}}}, "nothing is fetched"),
        ({"output_schema": {"$schema": "http://json-schema.org/draft-07/schema"}}, "2020-12"),
        ({"output_schema": {"pattern": "("}}, "cannot be matched"),
        ({"output_schema": {"pattern": "(?=a)"}}, "looking around"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_could_not_be_held_to_is_refused(execution: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        loaded(execution)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "spec",
    [
        {"tools": ["send"]},
        {"allowed_tools": ["send"]},
        {"memory": {"ref": "notes", "allow": ["write"]}},
    ],
    ids=["granted", "outright", "of its memory"],
)
def test_a_contract_may_name_any_tool_that_the_agent_has(spec: dict[str, Any]) -> None:
    tool = "memory.write" if "memory" in spec else "send"
    held = loaded({"profile": "contract", "tool_sequence": [tool, tool]}, **spec)
    assert held.execution.tool_sequence == [tool, tool]


def test_fields_that_say_what_holds_anyway_are_taken() -> None:
    loaded({"profile": "dynamic", "tool_sequence": [], "required_output_markers": []})


DEEP = "[" * 100_000
TREE = {
    "$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "$ref": "#/$defs/node",
}
ENDLESS = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
WIDE = {
    "$defs": {
        "a": {"anyOf": [{"$ref": "#/$defs/b"}] * 500},
        "b": {"anyOf": [{"type": "null"}] * 500},
    }
}


@pytest.mark.parametrize(
    ("schema", "text", "said"),
    [
        ({}, "", "it is no JSON"),
        ({}, "NaN", "it is no JSON"),
        ({}, "1e999", "it is no JSON"),
        ({}, '{"a": 1, "a": 2}', "names a field twice"),
        ({}, DEEP, "it is no JSON"),
        ({}, "{} and more", "it is no JSON"),
        (TREE, "[[], [1]]", "$[1][0]: must be of type array"),
        (ENDLESS, "1", "within its bounds"),
        ({**WIDE, "items": {"$ref": "#/$defs/a"}}, str([1] * 100), "within its bounds"),
        ({"pattern": "(a|aa)+$"}, '"' + "a" * 60 + '!"', "must meet pattern"),
        ({"uniqueItems": True}, '[{"a": 1}, {"a": 1}]', "holds a value twice"),
        (
            {"properties": {"a": {"pattern": "^x"}}},
            '{"a": "y"}',
            '$.a: must meet pattern: "^x"',
        ),
    ],
    ids=lambda one: str(one)[:30],
)
def test_an_answer_that_does_not_fit_is_told_where(
    schema: dict[str, Any], text: str, said: str
) -> None:
    assert output_schema.unusable(schema) is None
    value, errors = output_schema.read(schema, text)
    assert value is None
    assert said in errors[0]


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = {
        "type": "object",
        "properties": {"$ref": {"type": "string"}},
        "const": {"$ref": "x"},
    }
    assert output_schema.unusable(schema) is None
    assert output_schema.read(schema, '{"$ref": "x"}') == ('{"$ref":"x"}', [])
