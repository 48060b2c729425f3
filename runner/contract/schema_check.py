"""Whether a value meets a JSON Schema, at a bounded cost.

    schema ──at load──> usable? ──first value──> compiled, kept ──each value──> its errors

Both may be hostile: a schema comes from whoever writes manifests or runs an MCP server, the
value from a model. Nothing is fetched: a `$ref` stays inside its schema. Patterns are
matched by RE2, whose time grows with the text and no faster; what RE2 cannot say (looking
ahead, referring back) is refused. Every keyword that is looked at costs a unit of a budget,
and what cannot be checked within it does not pass.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import jsonschema
from jsonschema import validators
from jsonschema.exceptions import ValidationError, best_match

from runner.contract import patterns, schema_shape
from runner.contract.schema_shape import Unusable, shown

UNITS_MAX: Final = 100_000
"""About a second of work on one core; a value of ten thousand parts takes less."""
SAID_MAX: Final = 200

_DRAFTS: Final = (
    jsonschema.Draft202012Validator,
    jsonschema.Draft201909Validator,
    jsonschema.Draft7Validator,
    jsonschema.Draft6Validator,
    jsonschema.Draft4Validator,
)
_left: ContextVar[int] = ContextVar("units left")

Errors = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors | None]


class Spent(Exception):
    """The budget of a check is used up: nothing is known of the value."""


def compiled(schema: Mapping[str, Any]) -> None:
    """Make a schema ready; Unusable when values cannot be checked by it."""
    _compiled(schema_shape.written(schema))


def errors(schema: Mapping[str, Any], value: Any, most: int) -> list[ValidationError]:
    """The first errors of a value; nothing when it meets the schema. Unusable, Spent."""
    validator = _compiled(schema_shape.written(schema))
    spent = _left.set(UNITS_MAX)
    try:
        return list(islice(validator.iter_errors(value), most))
    except RecursionError:
        raise Unusable("it refers to itself without an end") from None
    finally:
        _left.reset(spent)


def sentence(error: ValidationError) -> str:
    """What is expected there. The value itself is not repeated: it may be long."""
    wanted, given = error.validator_value, error.instance
    match error.validator:
        case "type":
            types = wanted if isinstance(wanted, list) else [wanted]
            return f"must be of type {' or '.join(map(str, types))}"
        case "required":
            missing = [name for name in wanted if name not in given]
            return f"{shown(missing)} must be given"
        case "additionalProperties" | "uniqueItems":
            return str(error.message)
        case "enum":
            return f"must be one of {shown(wanted)}"
        case None:
            return "nothing may stand here"
    return f"must meet {error.validator}: {shown(wanted)}"


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    """The validator of a schema in its canonical form; Unusable."""
    schema = json.loads(text)
    draft = _draft(schema)
    schema_shape.check(schema)
    # Formats are left out: by them each pattern would go through the other engine.
    broken = best_match(draft(draft.META_SCHEMA).iter_errors(schema))
    if broken is not None:
        at = "/" + "/".join(map(str, broken.absolute_path))
        raise Unusable(f"at {at}: {broken.message[:SAID_MAX]}")
    for pattern in schema_shape.patterns(schema):
        _pattern(pattern)
    return _bounded(_DRAFTS.index(draft))(schema)


def _draft(schema: Mapping[str, Any]) -> Any:
    """The dialect that a schema is written in, the newest where it does not say; Unusable."""
    named = schema.get("$schema")
    if named is None:
        return _DRAFTS[0]
    found = validators.validator_for(schema, default=None) if isinstance(named, str) else None
    if found not in _DRAFTS:
        raise Unusable(f"there is no dialect {shown(named)}; leave $schema out")
    return found


def _pattern(text: str) -> Any:
    """A pattern ready to be searched with; Unusable when its time could not be bounded."""
    try:
        return patterns.compiled(text)
    except patterns.Unbounded as error:
        raise Unusable(f"the pattern {shown(text)} {error}") from None


@lru_cache(maxsize=len(_DRAFTS))
def _bounded(draft: int) -> Any:
    """A dialect whose every keyword costs a unit, and whose patterns are RE2's."""
    found: dict[str, Keyword] = dict(_DRAFTS[draft].VALIDATORS)
    found |= {
        "pattern": _matches,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
        "uniqueItems": _unique,
    }
    counted = {name: _counted(keyword) for name, keyword in found.items()}
    return validators.extend(_DRAFTS[draft], counted)


def _counted(keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Errors | None:
        _pay(1)
        return keyword(validator, wanted, value, schema)

    return check


def _pay(units: int) -> None:
    left = _left.get(UNITS_MAX) - units
    if left < 0:
        raise Spent
    _left.set(left)


def _found(pattern: str, text: str) -> bool:
    _pay(1 + len(text))
    return _pattern(pattern).search(text) is not None


def _matches(_: Any, pattern: str, value: Any, schema: Any) -> Errors:
    if isinstance(value, str) and not _found(pattern, value):
        yield ValidationError("does not match")


def _pattern_properties(validator: Any, patterns: Any, value: Any, schema: Any) -> Errors:
    if not isinstance(value, dict):
        return
    for pattern, inner in patterns.items():
        for name, item in value.items():
            if _found(pattern, name):
                yield from validator.descend(item, inner, path=name, schema_path=pattern)


def _additional(validator: Any, wanted: Any, value: Any, schema: Any) -> Errors:
    if not isinstance(value, dict):
        return
    declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, item in value.items():
        _pay(1)
        if name in declared or any(_found(pattern, name) for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError(f"{shown(name)} is not declared")
        else:
            yield from validator.descend(item, wanted, path=name)


def _unique(_: Any, wanted: Any, value: Any, schema: Any) -> Errors:
    if not wanted or not isinstance(value, list):
        return
    seen = set()
    for item in value:
        key = schema_shape.written(_plain(item))
        _pay(1 + len(key) // 64)
        if key in seen:
            yield ValidationError("holds a value twice")
            return
        seen.add(key)


def _plain(value: Any) -> Any:
    """The value with each number written in one way: to JSON Schema, 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
