"""Whether a call's arguments meet its tool's `input_schema`, at a bounded cost.

    schema ──at load──> usable? ──first call──> compiled, kept ──each call──> Misfit or None

Both may be hostile: a schema comes from whoever writes manifests or runs an MCP server, the
arguments from a model. Nothing is fetched: a `$ref` stays inside its schema. Patterns are
matched by RE2, whose time grows with the text and no faster; what RE2 cannot say (looking
ahead, referring back) is refused. Every keyword that is looked at costs a unit of a budget,
and what cannot be checked within it does not pass.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import jsonschema
import re2
from jsonschema import validators
from jsonschema.exceptions import ValidationError, best_match

from runner.contract import schema_shape
from runner.contract.schema_shape import Unusable, shown

UNITS_MAX: Final = 100_000
"""About a second of work on one core; a call of ten thousand values takes less."""
ERRORS_MAX: Final = 20
SAID_MAX: Final = 500
RULE_MAX: Final = 200

_PATTERN_BYTES_MAX: Final = 65_536  # RE2 makes at most a thousand instructions of it.
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


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why arguments do not meet a schema.

    `said` is for whoever wrote the arguments and may name what stands in them; `rule` is the
    place in the schema and holds nothing of theirs.
    """

    said: str
    rule: str


class _Spent(Exception):
    """The budget of a check is used up."""


def unusable(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a schema, as a sentence; None when arguments can be checked by it."""
    try:
        misfit(schema, {})
    except Unusable as error:
        return str(error)
    return None


def misfit(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> Misfit | None:
    """Why the arguments do not meet the schema, None when they do; Unusable."""
    validator = _compiled(schema_shape.written(schema))
    spent = _left.set(UNITS_MAX)
    try:
        errors = list(islice(validator.iter_errors(arguments), ERRORS_MAX))
    except _Spent:
        return Misfit("the arguments are too many to be checked; send fewer", "/")
    except RecursionError:
        raise Unusable("it refers to itself without an end") from None
    finally:
        _left.reset(spent)
    worst = best_match(errors)
    return None if worst is None else _misfit(worst)


def _misfit(error: ValidationError) -> Misfit:
    rule = "/" + "/".join(map(str, error.absolute_schema_path))
    where = "/" + "/".join(str(step)[:RULE_MAX] for step in error.absolute_path)
    said = f"{where}: {_sentence(error)}"
    return Misfit(said[:SAID_MAX], rule[:RULE_MAX])


def _sentence(error: ValidationError) -> str:
    """What is expected there. The value itself is not repeated: it may be long."""
    wanted, given = error.validator_value, error.instance
    match error.validator:
        case "type":
            types = wanted if isinstance(wanted, list) else [wanted]
            return f"must be of type {' or '.join(map(str, types))}"
        case "required":
            missing = [name for name in wanted if name not in given]
            return f"{shown(missing)} must be given"
        case "additionalProperties":
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
        raise Unusable(f"at {at}: {broken.message[:RULE_MAX]}")
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


@lru_cache(maxsize=512)
def _pattern(text: str) -> Any:
    """A pattern ready to be searched with; Unusable when its time could not be bounded."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_BYTES_MAX
    try:
        return re2.compile(schema_shape.pattern(text), options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise Unusable(
            f"the pattern {shown(text)} cannot be matched in bounded time ({reason});"
            " write one without looking around, referring back or large counts"
        ) from None


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
        raise _Spent
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
