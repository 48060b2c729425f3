"""Which edges an output takes. Pure; what the model wrote may be hostile.

Conditions are looked at together: those that hold are taken, beside the edges without one;
the default is taken when none holds. An output that is no JSON has no value at any path.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from runner.contract import patterns
from runner.contract.kinds.edge import Condition, Edge, path_parts

_MISSING: Final = object()


def taken(edges: Sequence[Edge], output: str) -> list[Edge]:
    """The edges that this output takes, as declared."""
    judged = [edge for edge in edges if edge.condition is not None and not edge.fallback]
    holding = [edge.to for edge in judged if edge.condition and holds(edge.condition, output)]
    return [
        edge
        for edge in edges
        if edge.condition is None or (not holding if edge.fallback else edge.to in holding)
    ]


def holds(condition: Condition, output: str) -> bool:
    """Whether all that a condition says is true of an output."""
    folded = output.casefold()
    wanted, unwanted = condition.output_contains, condition.output_not_contains
    if wanted is not None and wanted.casefold() not in folded:
        return False
    if unwanted is not None and unwanted.casefold() in folded:
        return False
    if condition.output_matches is not None and not _matches(condition.output_matches, output):
        return False
    if condition.output_json_path is None:
        return True
    value = _value_at(output, condition.output_json_path)
    return value is not _MISSING and _compares(condition, value)


def _value_at(output: str, path: str) -> Any:
    """The value at a path of an output that is JSON; a private mark where there is none."""
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return _MISSING
    for part in path_parts(path):
        if isinstance(part, int):
            if not isinstance(value, list) or part >= len(value):
                return _MISSING
            value = value[part]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return _MISSING
    return value


def _matches(pattern: str, output: str) -> bool:
    return patterns.compiled(pattern).search(output) is not None


def _compares(condition: Condition, value: Any) -> bool:
    said = _said(value)
    return all(
        (
            condition.equals is None or said == condition.equals,
            condition.not_equals is None or said != condition.not_equals,
            condition.contains is None or _contains(value, condition.contains),
            condition.greater_than is None or _number(value) > float(condition.greater_than),
            condition.less_than is None or _number(value) < float(condition.less_than),
        )
    )


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _contains(value: Any, wanted: str) -> bool:
    if isinstance(value, list):
        return any(_said(item) == wanted for item in value)
    return isinstance(value, str) and wanted.casefold() in value.casefold()


def _number(value: Any) -> float:
    """A number, or one that is written as text; what is none compares as false."""
    if isinstance(value, bool):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
