"""The kinds as others need to see them: the JSON Schema, and which spellings a field has.

The schema is generated, never written, so that an editor says what the parser says. Both
spellings of a field are in it. What pydantic cannot know is added here by hand: that a
permission is written as a pair or a text, and that a tool may be written as its name alone.
"""

import json
import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from runner.contract.kinds import API_VERSION, KINDS, Metadata, Permission
from runner.contract.kinds.agent import ToolGrant

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_PAIR: Final[dict[str, Any]] = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "propertyNames": {"pattern": "^[a-z][a-z_]{0,31}$"},
    "additionalProperties": {"type": "string", "pattern": "\\S"},
}


class Shape(NamedTuple):
    """Which fields stand at a place: by every spelling, the canonical one and what is in it.

    `items` is the shape of each item of a list, or of each value of a free mapping.
    """

    fields: Mapping[str, tuple[str, "Shape | None"]]
    items: "Shape | None" = None

    def inside(self, step: str | int) -> tuple[str | int, "Shape | None"]:
        """The canonical spelling of a step, and the shape behind it."""
        if isinstance(step, str) and step in self.fields:
            return self.fields[step]
        return step, self.items

    @property
    def canonical(self) -> list[str]:
        """The fields, each once, in the order of their declaration."""
        return list(dict.fromkeys(name for name, _ in self.fields.values()))

    @property
    def free(self) -> bool:
        """Whether any field may stand here."""
        return not self.fields


@cache
def shape(kind: str) -> Shape:
    """The shape of a kind's spec."""
    return shape_of(KINDS[kind])


@cache
def metadata_shape() -> Shape:
    """The shape of `metadata`."""
    return shape_of(Metadata)


def canonical_name(name: str, field: FieldInfo) -> str:
    """The spelling that a field is stored with."""
    return field.serialization_alias or name


def spellings(name: str, field: FieldInfo) -> list[str]:
    """Every spelling a field is read in, the canonical one first."""
    choices = field.validation_alias
    assert isinstance(choices, AliasChoices)
    found = [canonical_name(name, field), *(str(choice) for choice in choices.choices)]
    return list(dict.fromkeys(found))


def shape_of(model: type[BaseModel]) -> Shape:
    """The shape of a model; its fields all have spellings, as those of `Strict` do."""
    fields: dict[str, tuple[str, Shape | None]] = {}
    for name, field in model.model_fields.items():
        entry = (canonical_name(name, field), _inner(field.annotation))
        fields |= dict.fromkeys(spellings(name, field), entry)
    return Shape(fields)


def _inner(annotation: Any) -> Shape | None:
    """The shape inside a type: of the model it is, or of the items that it holds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _inner(arguments[0])
    if origin in (Union, types.UnionType):
        found = [inner for argument in arguments if (inner := _inner(argument))]
        return found[0] if found else None
    if origin in (list, dict):
        return Shape({}, _inner(arguments[-1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if annotation is Permission else shape_of(annotation)
    return None


def schema(kind: str | None = None) -> dict[str, Any]:
    """The JSON Schema of a whole manifest of one kind, or of any; KeyError for no kind."""
    kinds = sorted(KINDS) if kind is None else [kind]
    definitions: dict[str, Any] = {}
    models: list[type[BaseModel]] = [Metadata, *(KINDS[name] for name in kinds)]
    for model in models:
        _define(model, definitions)
    manifests = [_manifest(name) for name in kinds]
    top: dict[str, Any] = {"$schema": DIALECT, "title": "Orloj manifest"}
    top |= manifests[0] if kind is not None else {"oneOf": manifests}
    return top | {"$defs": definitions}


def text(kind: str | None = None) -> str:
    """The schema as JSON text."""
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


def editor_line(file: str) -> str:
    """The comment that makes an editor check a manifest against a schema file."""
    return f"# yaml-language-server: $schema={file}"


def _manifest(kind: str) -> dict[str, Any]:
    return {
        "title": kind,
        "description": _first_paragraph(KINDS[kind].__doc__),
        "type": "object",
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {"$ref": "#/$defs/Metadata"},
            "spec": {"$ref": f"#/$defs/{kind}"},
            "status": {"description": "Written by servers; ignored here."},
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
    }


def _define(model: type[BaseModel], definitions: dict[str, Any]) -> None:
    """Add the definitions of a model, and of every model in it."""
    raw = model.model_json_schema(by_alias=False, mode="validation")
    found = raw.pop("$defs", {}) | {model.__name__: raw}
    models = {part.__name__: part for part in _models(model)}
    for name, definition in found.items():
        definitions[name] = _written(models[name], definition)


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model and every model in it."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        part = waiting.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            if part not in found:
                found.add(part)
                waiting += [field.annotation for field in part.model_fields.values()]
        else:
            waiting += get_args(part)
    return found


def _written(model: type[BaseModel], definition: dict[str, Any]) -> dict[str, Any]:
    """A model's definition as people write it: both spellings, short forms."""
    if model is Permission:
        text = {"type": "string", "pattern": r"^\s*[a-z][a-z_]{0,31}\s*:.*\S"}
        pair = {"description": _first_paragraph(model.__doc__), **_PAIR}
        return {"anyOf": [text, pair]}
    properties: dict[str, Any] = {}
    required: list[dict[str, Any]] = []
    for name, field in model.model_fields.items():
        names = spellings(name, field)
        entry = _entry(definition["properties"][name])
        properties |= dict.fromkeys(names, entry)
        if field.is_required():
            required.append({"anyOf": [{"required": [spelling]} for spelling in names]})
    entry = {
        "description": _first_paragraph(model.__doc__),
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        entry["allOf"] = required
    return {"anyOf": [{"type": "string"}, entry]} if model is ToolGrant else entry


def _entry(field: dict[str, Any]) -> dict[str, Any]:
    # Titles repeat the name; defaults that are no plain value repeat other definitions.
    shown = {name: value for name, value in field.items() if name != "title"}
    if shown.get("default") is None or isinstance(shown["default"], dict | list):
        shown.pop("default", None)
    return shown


def _first_paragraph(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())
