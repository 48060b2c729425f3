"""Whether an agent's answer is JSON of the shape that its manifest asks for.

text ──> JSON ──> meets the schema (`schema_check`) ──> canonical JSON
           └────────────┴──> what is wrong, each with its path
"""

import json
import re
from typing import Any, Final

from runner.contract import schema_check
from runner.contract.schema_check import Spent
from runner.contract.schema_shape import Unusable

ERRORS_MAX: Final = 5
SAID_MAX: Final = 200
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FENCED: Final = re.compile(r"\s*```(?:json)?[ \t]*\n(.*)\n\s*```\s*", re.DOTALL)


def unusable(schema: dict[str, Any]) -> str | None:
    """Why answers cannot be held to a schema, as a sentence; None when they can."""
    if schema.get("$schema", _DIALECT) != _DIALECT:
        return "an answer is held to JSON Schema 2020-12: leave `$schema` out"
    try:
        schema_check.compiled(schema)
    except Unusable as error:
        return str(error)
    return None


def read(schema: dict[str, Any], text: str) -> tuple[str | None, list[str]]:
    """The answer in canonical JSON, and nothing; or None, and what is wrong with it."""
    fenced = _FENCED.fullmatch(text)
    try:
        value = json.loads(
            fenced[1] if fenced else text, object_pairs_hook=_object, parse_constant=_constant
        )
        written = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (ValueError, RecursionError) as error:
        return None, [f"$: it is no JSON: {str(error)[:SAID_MAX]}"]
    try:
        found = schema_check.errors(schema, value, ERRORS_MAX)
    except (Spent, Unusable):
        return None, ["$: it cannot be checked within its bounds; answer with less"]
    if found:
        return None, [
            f"{error.json_path}: {schema_check.sentence(error)}"[:SAID_MAX] for error in found
        ]
    return written, []


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a field twice")
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
