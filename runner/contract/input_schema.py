"""Whether a call's arguments meet its tool's `input_schema` (`schema_check`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jsonschema.exceptions import ValidationError, best_match

from runner.contract import schema_check, schema_shape
from runner.contract.schema_check import Spent
from runner.contract.schema_shape import Unusable

ERRORS_MAX: Final = 20
SAID_MAX: Final = 500
RULE_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why arguments do not meet a schema.

    `said` is for whoever wrote the arguments and may name what stands in them; `rule` is the
    place in the schema and holds nothing of theirs.
    """

    said: str
    rule: str


def unusable(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a schema, as a sentence; None when arguments can be checked by it."""
    try:
        misfit(schema, {})
    except Unusable as error:
        return str(error)
    return None


def misfit(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> Misfit | None:
    """Why the arguments do not meet the schema, None when they do; Unusable."""
    schema_shape.check_object(schema)
    try:
        worst = best_match(schema_check.errors(schema, arguments, ERRORS_MAX))
    except Spent:
        return Misfit("the arguments are too many to be checked; send fewer", "/")
    return None if worst is None else _misfit(worst)


def _misfit(error: ValidationError) -> Misfit:
    rule = "/" + "/".join(map(str, error.absolute_schema_path))
    where = "/" + "/".join(str(step)[:RULE_MAX] for step in error.absolute_path)
    said = f"{where}: {schema_check.sentence(error)}"
    return Misfit(said[:SAID_MAX], rule[:RULE_MAX])
