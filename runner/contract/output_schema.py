"""Whether an agent's answer is JSON of the shape that its manifest asks for, at a bounded cost.

    text ──> JSON ──> fits the schema ──> canonical JSON
               └────────────┴──> what is wrong, each with its path

The owner of `jsonschema`, which only those load that have a schema to check. Nothing is
fetched: a `$ref` stays inside its schema. Every keyword that is looked at costs a unit of a
budget, a pattern has a bound on time, and what cannot be checked within them does not pass.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import islice
from typing import Any, Final

import jsonschema
import regex
from jsonschema import validators
from jsonschema.exceptions import SchemaError, ValidationError

SCHEMA_MAX: Final = 65_536
UNITS_MAX: Final = 100_000
ERRORS_MAX: Final = 5
SAID_MAX: Final = 200
_PATTERN_S: Final = 0.05
_PATTERN_UNITS: Final = 100
"""A pattern may take as long as many other keywords."""
_DRAFT: Final = jsonschema.Draft202012Validator
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FENCED: Final = re.compile(r"\s*```(?:json)?[ \t]*\n(.*)\n\s*```\s*", re.DOTALL)
_REFUSED: Final = {
    "$dynamicRef": "write $ref, which says where it leads",
    "patternProperties": "write additionalProperties",
    "unevaluatedItems": "write items",
    "unevaluatedProperties": "write additionalProperties",
}
_HELD: Final = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are data, and no schemas."""
_NAMED: Final = frozenset({"$defs", "definitions", "dependentSchemas", "properties"})
"""Keywords that hold schemas under names that anybody chooses."""
_left: ContextVar[int] = ContextVar("units left")

Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors | None]


class _Spent(Exception):
    """The budget of a check is used up."""


def unusable(schema: dict[str, Any]) -> str | None:
    """Why answers cannot be held to a schema, as a sentence; None when they can."""
    if schema.get("$schema", _DIALECT) != _DIALECT:
        return "an answer is held to JSON Schema 2020-12: leave `$schema` out"
    try:
        if len(_canonical(schema)) > SCHEMA_MAX:
            return f"a schema has at most {SCHEMA_MAX} characters"
        _DRAFT.check_schema(schema)
        return next(filter(None, (_flaw(schema, part) for part in _parts(schema))), None)
    except SchemaError as error:
        return (
            f"it is no JSON Schema 2020-12: what stands at {_path(error)} means nothing there"
        )
    except RecursionError:
        return "it is too deep"
    except (TypeError, ValueError):
        return "it holds a value that JSON does not have"


def read(schema: dict[str, Any], text: str) -> tuple[str | None, list[str]]:
    """The answer in canonical JSON, and nothing; or None, and what is wrong with it."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = json.loads(
            fenced[1] if fenced else text, object_pairs_hook=_object, parse_constant=_constant
        )
        written = _canonical(value)
    except (ValueError, RecursionError) as error:
        return None, [f"$: it is no JSON: {_said(str(error))}"]
    spent = _left.set(UNITS_MAX)
    try:
        errors = list(islice(_BOUNDED(schema).iter_errors(value), ERRORS_MAX))
    except (_Spent, TimeoutError, RecursionError):
        return None, ["$: it cannot be checked within its bounds; answer with less"]
    finally:
        _left.reset(spent)
    if errors:
        return None, [f"{_path(error)}: {_said(error.message)}" for error in errors]
    return written, []


def _canonical(value: Any) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a schema, itself first."""
    if isinstance(schema, list):
        for item in schema:
            yield from _parts(item)
    if not isinstance(schema, dict):
        return
    yield schema
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, dict):
            for inner in value.values():
                yield from _parts(inner)
        elif name not in _HELD:
            yield from _parts(value)


def _flaw(schema: dict[str, Any], part: dict[str, Any]) -> str | None:
    """What a part of a schema says that is not taken."""
    for name, instead in _REFUSED.items():
        if name in part:
            return f"`{name}` is not read, since its cost has no bound; {instead}"
    if "$id" in part and part is not schema:
        return "only the whole schema may have an `$id`"
    if "$ref" in part and not _leads_somewhere(schema, part["$ref"]):
        return "a `$ref` begins with #/ and leads to a part of its schema; nothing is fetched"
    if "pattern" in part:
        try:
            regex.compile(part["pattern"])
        except regex.error:
            return "a `pattern` cannot be read; write a simpler one"
    return None


def _leads_somewhere(schema: Any, reference: str) -> bool:
    if reference == "#":
        return True
    if not reference.startswith("#/"):
        return False
    at = schema
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(at, dict) or name not in at:
            return False
        at = at[name]
    return isinstance(at, dict | bool)


def _pay(units: int) -> None:
    left = _left.get(UNITS_MAX) - units
    if left < 0:
        raise _Spent
    _left.set(left)


def _counted(keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Errors | None:
        _pay(1)
        return keyword(validator, wanted, value, schema)

    return check


def _matches(_: Any, pattern: str, value: Any, schema: Any) -> Errors:
    if not isinstance(value, str):
        return
    _pay(_PATTERN_UNITS)
    if regex.search(pattern, value, timeout=_PATTERN_S) is None:
        yield ValidationError(f"does not match {pattern!r}")


def _unique(_: Any, wanted: bool, value: Any, schema: Any) -> Errors:
    if wanted and isinstance(value, list):
        written = {_canonical(item) for item in value}
        if len(written) < len(value):
            yield ValidationError("holds a value twice")


_BOUNDED: Final = validators.extend(
    _DRAFT,
    {
        name: _counted(keyword)
        for name, keyword in {
            **_DRAFT.VALIDATORS,
            "pattern": _matches,
            "uniqueItems": _unique,
        }.items()
    },
)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a field twice")
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _path(error: ValidationError | SchemaError) -> str:
    return str(error.json_path)


def _said(message: str) -> str:
    return message if len(message) <= SAID_MAX else f"{message[:SAID_MAX]} ..."
