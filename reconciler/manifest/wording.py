"""What is wrong with a manifest's values, in words for people. Pure.

pydantic finds the mistakes; here each becomes a path, a sentence and a hint. No sentence
ever holds a value from the manifest, since the value may be a secret: only names of fields
and what may stand there.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from reconciler.manifest.document import Path
from reconciler.manifest.syntax import quoted
from runner.contract.kinds.schema import Shape

MISTAKES_MAX: Final = 50
_CHOICES_SHOWN_MAX: Final = 12
_CHOICE = re.compile(r"'([^']*)'")
_NAME_HINT: Final = (
    "letters, digits, `.`, `_` and `-`; it begins and ends with a letter or digit,"
    " and has at most 128 characters"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake, at a path as the manifest spells it. `at_key`: the key is what is wrong."""

    path: Path
    at_key: bool
    message: str
    hint: str | None = None


def findings(error: ValidationError, shape: Shape, root: str) -> list[Finding]:
    """Every mistake in a part of a manifest, `root` being `spec` or `metadata`."""
    found = []
    for detail in error.errors(include_url=False)[:MISTAKES_MAX]:
        steps = tuple(step for step in detail["loc"] if step != "[key]")
        found.append(_finding(detail, steps, shape, root))
    return found


def _finding(detail: Any, steps: Path, shape: Shape, root: str) -> Finding:
    kind, path = detail["type"], (root, *steps)
    if kind == "extra_forbidden":
        return unknown_field(path, _shape_at(shape, steps[:-1]))
    if kind == "missing":
        return Finding(path[:-1], True, f"{label(path[:-1])} needs {quoted(str(path[-1]))}")
    sentence, hint = _sentence(detail)
    return Finding(path, False, f"{label(path)}: {sentence}", hint)


def label(path: Path) -> str:
    """The last field of a path, with the indices after it: `` `tools[1]` ``."""
    names = [index for index, step in enumerate(path) if isinstance(step, str)]
    last = names[-1] if names else 0
    indices = "".join(f"[{step}]" for step in path[last + 1 :])
    return quoted(f"{path[last]}{indices}") if path else "the manifest"


def unknown_field(path: Path, shape: Shape | None) -> Finding:
    """A field that nobody knows, with the one that was probably meant."""
    name = str(path[-1])
    message = f"unknown field {quoted(name)}"
    if shape is None or shape.free:
        return Finding(path, True, message)
    if name in shape.fields:
        canonical = shape.fields[name][0]
        message = f"{quoted(name)} is {quoted(canonical)} in another spelling"
        return Finding(path, True, message, "the field is given twice: remove one")
    if hint := did_you_mean(name, shape.fields):
        return Finding(path, True, message, hint)
    inner = [
        field
        for field, (_, child) in shape.fields.items()
        if child is not None and name in child.fields
    ]
    if inner:
        return Finding(path, True, message, f"it belongs under {quoted(inner[0])}")
    return Finding(path, True, message, "fields here: " + _listed(shape.canonical))


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`did you mean X?` for the known name nearest to one, if one is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {quoted(near[0])}?" if near else None


def one_of(name: object, choices: Sequence[str]) -> str:
    """What to say about a word that is none of the choices."""
    near = did_you_mean(name, choices) if isinstance(name, str) else None
    return near or "one of: " + _listed(choices)


def type_name(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing"
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    names |= {str: "text", list: "a list", dict: "a mapping"}
    return names.get(type(value), "something else")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_CHOICES_SHOWN_MAX])
    return shown + (", …" if len(names) > _CHOICES_SHOWN_MAX else "")


def _shape_at(shape: Shape | None, steps: Path) -> Shape | None:
    for step in steps:
        if shape is None:
            return None
        shape = shape.inside(step)[1]
    return shape


_EXPECTED: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_BOUNDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "greater_than": lambda context: f"must be greater than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than": lambda context: f"must be less than {context['lt']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "string_too_long": lambda context: f"longer than {context['max_length']} characters",
    "too_long": lambda context: f"more than {context['max_length']} items",
    "string_too_short": lambda _: "must not be empty",
    "too_short": lambda _: "must not be empty",
}


def _sentence(detail: Any) -> tuple[str, str | None]:
    """What is wrong with one value, and what may help."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _EXPECTED:
        sentence = f"expected {_EXPECTED[kind]}, got {type_name(value)}"
        return sentence, _type_hint(kind, value)
    if kind in _BOUNDS:
        return _BOUNDS[kind](context), None
    if kind == "literal_error":
        return _not_a_choice(value, context["expected"])
    if kind == "string_pattern_mismatch":
        return "not a valid name", _NAME_HINT
    if kind == "value_error":
        return str(context["error"]), None
    return "not a value this field can have", None


def _type_hint(kind: str, value: object) -> str | None:
    if value is None:
        return "write a value, or remove the field"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put it in quotes"
    if kind in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return "write it without quotes, as in " + (
            "true" if kind == "bool_type" else "10" if kind == "int_type" else "0.5"
        )
    return None


def _not_a_choice(value: object, expected: str) -> tuple[str, str | None]:
    choices = _CHOICE.findall(expected)
    if not choices:
        return f"can only be {expected.lower()}", None
    return "not a value this field can have", one_of(value, choices)
