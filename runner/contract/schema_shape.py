"""What a JSON Schema is made of, and which of them we take. Pure, and without a library.

Only what stands where a schema may stand is looked at: a property can be called `pattern`.
A `$ref` names a place that was looked at, so nothing is used that was not.
"""

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

BYTES_MAX: Final = 65_536
DEPTH_MAX: Final = 32
PATTERN_MAX: Final = 1_000
SHOWN_MAX: Final = 200

_ONE: Final = frozenset(
    {"additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if"}
    | {"items", "not", "propertyNames", "then"}
)
_MANY: Final = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_NAMED: Final = frozenset(
    {"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties"}
    | {"properties"}
)
_REFUSED: Final = {
    "unevaluatedProperties": "write additionalProperties: its cost is bounded",
    "unevaluatedItems": "write items: its cost is bounded",
    "$dynamicRef": "write $ref, which says where it leads",
    "$recursiveRef": "write $ref, which says where it leads",
}

Place = tuple[str, ...]


class Unusable(ValueError):
    """Values cannot be checked by this schema."""


def written(value: Any) -> str:
    """A JSON value in one form; Unusable for what JSON does not have."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise Unusable(f"it is deeper than {DEPTH_MAX} levels") from None
    except (TypeError, ValueError):
        raise Unusable("it is no JSON value") from None


def shown(value: Any) -> str:
    """A value of a schema as an error shows it."""
    return json.dumps(value, ensure_ascii=False, default=str)[:SHOWN_MAX]


def check(schema: Any) -> None:
    """Unusable for a schema that is too large, leads out of itself, or has no bounded cost."""
    if len(written(schema)) > BYTES_MAX:
        raise Unusable(f"it is longer than {BYTES_MAX} characters")
    found = list(parts(schema))
    places = {place for place, _ in found}
    for place, part in found:
        if isinstance(part, dict):
            _check_part(place, part, places)


def check_object(schema: Any) -> None:
    """Unusable for a schema that no object could meet."""
    if "object" not in (schema.get("type", "object"), *_types(schema)):
        raise Unusable(f"arguments are an object, and it wants {shown(schema['type'])}")


def _check_part(place: Place, part: Mapping[str, Any], places: Container[Place]) -> None:
    for keyword in sorted(_REFUSED.keys() & part.keys()):
        raise Unusable(f"at {_at(place)}: {keyword} is not read; {_REFUSED[keyword]}")
    for keyword in ("$id", "id"):
        if place and isinstance(part.get(keyword), str):
            raise Unusable(f"at {_at(place)}: only the whole schema may have an {keyword}")
    if "$ref" in part and _target(place, part["$ref"]) not in places:
        raise Unusable(f"at {_at(place)}: {shown(part['$ref'])} leads to no schema in it")


def parts(schema: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every schema in a schema, itself first, each with where it stands; Unusable."""
    yield place, schema
    if len(place) > 2 * DEPTH_MAX:
        raise Unusable(f"it is deeper than {DEPTH_MAX} levels")
    if isinstance(schema, dict):
        for keyword, value in schema.items():
            for step, inner in _inner(keyword, value):
                yield from parts(inner, (*place, keyword, *step))


def _inner(keyword: str, value: Any) -> Iterator[tuple[Place, Any]]:
    """The schemas that a keyword's value holds."""
    if keyword in _NAMED and isinstance(value, dict):
        for name, inner in value.items():
            yield (str(name),), inner
    elif keyword in _MANY and isinstance(value, list):
        for index, inner in enumerate(value):
            yield (str(index),), inner
    elif keyword in _ONE:
        yield (), value


def patterns(schema: Any) -> Iterator[str]:
    """Every pattern of a schema; Unusable for a long one."""
    for place, part in parts(schema):
        if not isinstance(part, dict):
            continue
        found = [*part.get("patternProperties", {})]
        found += [part["pattern"]] if "pattern" in part else []
        for text in found:
            if len(text) > PATTERN_MAX:
                raise Unusable(f"at {_at(place)}: a pattern has at most {PATTERN_MAX} letters")
            yield text


def _types(schema: Mapping[str, Any]) -> list[Any]:
    types = schema.get("type")
    return types if isinstance(types, list) else []


def _target(place: Place, reference: Any) -> Place:
    """The place that a reference names; Unusable when that is elsewhere."""
    inside = isinstance(reference, str) and (reference == "#" or reference.startswith("#/"))
    if not inside or "%" in reference:
        raise Unusable(
            f"at {_at(place)}: a $ref begins with #/ and stays inside, and this is"
            f" {shown(reference)}; nothing is fetched"
        )
    steps = reference[1:].split("/")[1:]
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _at(place: Place) -> str:
    return "/" + "/".join(place)
