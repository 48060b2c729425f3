"""How an endpoint is asked for an answer of a shape, where its own protocol has a way. Pure.

`strict` schemas are those that OpenAI holds a model to word by word: each object names all
of its fields as required and allows no others. Any other schema is sent as a wish, which
whoever asked checks the answer against in any case.
"""

from typing import Any, Final

NAME: Final = "answer"
TOOL: Final = "final__answer"
"""The tool that a model is told to answer with, where its protocol knows tools alone."""
_LOOSE: Final = frozenset(
    {"allOf", "not", "if", "then", "else", "oneOf", "patternProperties", "propertyNames"}
    | {"dependentRequired", "dependentSchemas", "unevaluatedProperties", "contains"}
)
_DEPTH_MAX: Final = 5


def strict(schema: Any) -> bool:
    """Whether OpenAI takes a schema strictly."""
    return isinstance(schema, dict) and schema.get("type") == "object" and _strict(schema, 0)


def _strict(schema: Any, depth: int) -> bool:
    if not isinstance(schema, dict) or depth > _DEPTH_MAX or _LOOSE & schema.keys():
        return False
    fields, required = schema.get("properties", {}), schema.get("required", [])
    kinds, ways = schema.get("$defs", {}), schema.get("anyOf", [])
    well_formed = isinstance(fields, dict) and isinstance(kinds, dict)
    if not (well_formed and isinstance(required, list) and isinstance(ways, list)):
        return False
    if schema.get("type") == "object" or "properties" in schema:
        closed = schema.get("additionalProperties") is False
        if not closed or sorted(map(str, required)) != sorted(fields):
            return False
    inner = [*fields.values(), *kinds.values(), *ways]
    inner += [schema["items"]] if "items" in schema else []
    return all(_strict(one, depth + 1) for one in inner)


def response_format(schema: dict[str, Any], way: str) -> dict[str, Any] | None:
    """The field of a chat completion that asks for the shape; None: it is not asked for."""
    if way == "none":
        return None
    if way == "json_object":
        return {"type": "json_object"}
    asked = {"name": NAME, "schema": schema, "strict": strict(schema)}
    return {"type": "json_schema", "json_schema": asked}
