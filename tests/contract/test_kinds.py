"""The kinds read both spellings and refuse the rest; the JSON Schema says the same."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import manifest
from reconciler.manifest import positions
from reconciler.problem import has_errors
from runner.contract.kinds import KINDS, Key, Metadata, canonical, schema, spec_of

DATA = Path(__file__).parent.parent / "data"
FILES = [DATA / "seed_agent.yaml", *sorted((DATA / "upstream").rglob("*.yaml"))]
SCHEMA = schema.schema()
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": int | float,
}
NUMBER = int | float
# Each keyword with the type it speaks of and its meaning (2020-12); only those we use.
KEYWORDS: dict[str, tuple[Any, Callable[[Any, Any, Any], bool]]] = {
    "type": (
        object,
        lambda v, word, _: (
            isinstance(v, TYPES[word]) and (word == "boolean" or not isinstance(v, bool))
        ),
    ),
    "$ref": (object, lambda v, word, _: conforms(v, SCHEMA["$defs"][word.split("/")[-1]])),
    "const": (object, lambda v, word, _: v == word),
    "enum": (object, lambda v, word, _: v in word),
    "allOf": (object, lambda v, word, _: all(conforms(v, rule) for rule in word)),
    "anyOf": (object, lambda v, word, _: any(conforms(v, rule) for rule in word)),
    "oneOf": (object, lambda v, word, _: sum(conforms(v, rule) for rule in word) == 1),
    "properties": (
        dict,
        lambda v, word, _: all(
            conforms(v[key], rule) for key, rule in word.items() if key in v
        ),
    ),
    "additionalProperties": (
        dict,
        lambda v, word, rule: all(
            conforms(item, word)
            for key, item in v.items()
            if key not in rule.get("properties", {})
        ),
    ),
    "required": (dict, lambda v, word, _: all(key in v for key in word)),
    "propertyNames": (dict, lambda v, word, _: all(conforms(key, word) for key in v)),
    "minProperties": (dict, lambda v, word, _: len(v) >= word),
    "maxProperties": (dict, lambda v, word, _: len(v) <= word),
    "items": (list, lambda v, word, _: all(conforms(item, word) for item in v)),
    "minItems": (list, lambda v, word, _: len(v) >= word),
    "minLength": (str, lambda v, word, _: len(v) >= word),
    "maxLength": (str, lambda v, word, _: len(v) <= word),
    "pattern": (str, lambda v, word, _: bool(re.search(word, v))),
    "minimum": (NUMBER, lambda v, word, _: v >= word),
    "maximum": (NUMBER, lambda v, word, _: v <= word),
    "exclusiveMinimum": (NUMBER, lambda v, word, _: v > word),
}
SAID_ONLY = {"$schema", "$defs", "title", "description", "default"}


def conforms(value: Any, rule: Any) -> bool:
    """Whether a value conforms to a JSON Schema; a keyword we do not know is a KeyError."""
    if isinstance(rule, bool):
        return rule
    for name in rule.keys() - SAID_ONLY:
        speaks_of, holds = KEYWORDS[name]
        if isinstance(value, speaks_of) and not holds(value, rule[name], rule):
            return False
    return True


def loaded(file: Path) -> Any:
    return positions.read(file.read_bytes()).documents[0].value


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DATA)))
def test_a_manifest_that_loads_conforms_to_the_schema(file: Path) -> None:
    value = loaded(file)

    assert conforms(value, SCHEMA)
    assert conforms(value, schema.schema(value["kind"]))


AGENT = {
    "apiVersion": "orloj.dev/v1",
    "kind": "Agent",
    "metadata": {"name": "a"},
    "spec": {"model": "x"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The agent above with one value set; a dot leads into a mapping."""
    whole = copy.deepcopy(AGENT)
    *around, last = path.split(".")
    place: Any = whole
    for step in around:
        place = place.setdefault(step, {})
    place[last] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value", "accepted"),
    [
        ("spec.limits", {"max_steps": 3}, True),
        ("spec.limits", {"maxSteps": 3}, True),
        ("spec.limits", {"maxSteps": "3"}, False),
        ("spec.limits", {"maxSteps": True}, False),
        ("spec.limits", {"maxSteps": 0}, False),
        ("spec.limits", {"max_step": 3}, False),
        ("spec.tools", ["a"], True),
        ("spec.tools", [{"name": "a", "permissions": [{"read": "x"}]}], True),
        ("spec.tools", [{"name": "a", "permissions": [{"read": "x", "write": "y"}]}], False),
        ("spec.tools", [{"name": "a", "permissions": [{"Read": "x"}]}], False),
        ("spec.tools", [{"name": "a", "permissions": ["read"]}], False),
        ("spec.tools", [{"permissions": []}], False),
        ("spec.tools", "a", False),
        ("spec.governance", {"auditLog": True}, True),
        ("spec.governance", {"audit_log": False}, False),
        ("spec.execution", {"profile": "dynamc"}, False),
        ("spec.prompt", 3, False),
        ("metadata.name", "-a", False),
        ("metadata.labels", {"a": "b"}, True),
        ("metadata.labels", {"a": 1}, False),
        ("status", {"phase": "Ready"}, True),
        ("status", None, True),
        ("kind", "Agnet", False),
        ("apiVersion", "orloj.dev/v2", False),
        ("other", 1, False),
    ],
)
def test_schema_and_parser_agree(path: str, value: Any, accepted: bool) -> None:
    whole = changed(path, value)
    parsed = manifest.parse(json.dumps(whole).encode(), "a.yaml", lambda value: ("", ""))

    assert conforms(whole, SCHEMA) == accepted
    assert has_errors(parsed.problems) != accepted


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    text = schema.text()

    assert set(re.findall(r'"#/\$defs/(\w+)"', text)) == set(SCHEMA["$defs"])
    assert json.loads(text) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_definition_says_what_it_is_and_is_closed(kind: str) -> None:
    for definition in schema.schema(kind)["$defs"].values():
        closed = definition.get("anyOf", [definition])[-1]
        assert closed["description"]
        assert closed["additionalProperties"] is False or closed["maxProperties"] == 1


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_shape_knows_each_spelling_of_each_field(kind: str) -> None:
    fields = schema.shape(kind).fields

    for name in KINDS[kind].model_fields:
        canonical_name, _ = fields[name]
        assert fields[canonical_name][0] == canonical_name


def test_what_is_stored_reads_the_same_whatever_the_spelling() -> None:
    metadata = Metadata(name="a")
    snake = KINDS["Agent"].model_validate({"model_ref": "m", "limits": {"max_steps": 3}})
    camel = KINDS["Agent"].model_validate({"modelRef": "m", "limits": {"maxSteps": 3}})

    body = canonical(metadata, camel)
    assert body == canonical(metadata, snake)
    assert body == '{"spec":{"limits":{"max_steps":3},"model_ref":"m"}}'
    assert spec_of("Agent", body) == snake


def test_a_key_is_shown_as_people_write_it() -> None:
    assert str(Key("default", "ModelEndpoint", "a")) == "modelendpoint/default/a"
