"""A file in the one form, written in the other, comments kept.

    text ──parse (its mistakes end it)──> round-trip tree ──rewrite──> text
                                               └── what the other form cannot say: losses

What is written is read again: a resource that would come out as another one is a fault of
ours, and no output. A comment goes with the field before it, as the library keeps them; the
comment of a field that is left out is left out with it.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from reconciler import manifest
from reconciler.convert import vocabulary
from reconciler.convert.vocabulary import Form
from reconciler.problem import Problem, Severity, has_errors
from runner.contract.kinds import KINDS, Key
from runner.contract.kinds.base import DEFAULT_NAMESPACE
from runner.contract.kinds.schema import Shape, shape

Path = tuple[str | int, ...]

_PERMISSIONS: Final = {
    "AgentRole": "permissions",
    "ToolPermission": "required_permissions",
}
_WIDTH: Final = 4096  # The library would break long lines, and change what they look like.


@dataclass(frozen=True, slots=True)
class Converted:
    """The new text; what it cannot say, and the mistakes for which there is no text."""

    text: str
    losses: tuple[Problem, ...] = ()
    mistakes: tuple[Problem, ...] = ()


def endpoints_of(text: bytes) -> frozenset[Key]:
    """The ModelEndpoints that a file declares: what `model` and `model_ref` may both mean."""
    parsed = manifest.parse(text, "", _forget)
    return frozenset(one.key for one in parsed.resources if one.key.kind == "ModelEndpoint")


def converted(text: bytes, path: str, to: Form, endpoints: frozenset[Key]) -> Converted:
    """A file in the other form; `endpoints` are all that the files together declare."""
    parsed = manifest.parse(text, path, _forget)
    if has_errors(parsed.problems):
        return Converted("", mistakes=parsed.problems)
    losses: list[Problem] = []
    kept = []
    for document in _library().load_all(text.decode("utf-8-sig")):
        if document is None:
            continue
        work = _Work(document, path, to, endpoints)
        if work.rewritten() and work.whole(_text([document])):
            kept.append(document)
        losses += work.losses
    return Converted(_text(kept), tuple(sorted(losses)))


def _text(documents: list[CommentedMap]) -> str:
    yaml, stream = _library(), io.StringIO()
    yaml.explicit_start = len(documents) > 1
    yaml.dump_all(documents, stream)
    return stream.getvalue()


def _library() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _forget(value: str) -> tuple[str, str]:
    return "hmac-sha256:" + "0" * 64, ""


class _Work:
    """One document on its way to the other form, changed in place."""

    def __init__(
        self, document: CommentedMap, path: str, to: Form, endpoints: frozenset[Key]
    ) -> None:
        self.losses: list[Problem] = []
        self._document = document
        self._path = path
        self._to = to
        self._endpoints = endpoints
        self._kind = str(document["kind"])
        self._spec: CommentedMap = document["spec"]

    def rewritten(self) -> bool:
        """Whether anything is left of it; false for a kind that the other form has not."""
        if self._to is Form.PUBLIC and self._kind in vocabulary.KINDS_NATIVE:
            self._lose(self._document, "kind", f"the public dialect has no kind {self._kind}")
            return False
        self._document.pop("status", None)
        for name in vocabulary.SERVER_METADATA:
            self._document["metadata"].pop(name, None)
        _spell(self._spec, shape(self._kind))
        if self._to is Form.PUBLIC:
            self._to_public()
        else:
            self._to_native()
        return True

    def whole(self, text: str) -> bool:
        """Whether what is written of it can be read; what lost too much is left out."""
        again = manifest.parse(text.encode(), self._path, _forget)
        if not has_errors(again.problems):
            return True
        assert self.losses, [str(one) for one in again.problems]
        self._lose(self._document, "kind", f"what is left is no {self._kind}: it is left out")
        return False

    def _to_public(self) -> None:
        for around, name, path in list(_places(self._spec, shape(self._kind), "")):
            if path in vocabulary.FIELDS_NATIVE.get(self._kind, ()):
                hint = vocabulary.HINTS.get((self._kind, path))
                self._lose(around, name, f"the public dialect has no `{path}`", hint)
                del around[name]
            elif _only_native(self._kind, path, around[name]):
                self._lose(around, name, f"the public dialect has no `{path}` of this value")
        if self._kind == "Agent":
            self._model("model", "model_ref")
            self._public_tools()
        if field := _PERMISSIONS.get(self._kind):
            _each(self._spec.get(field), _as_text)

    def _to_native(self) -> None:
        if self._kind == "Agent":
            self._model("model_ref", "model")
            _each(self._spec.get("tools"), lambda tool: _named(tool))
        if field := _PERMISSIONS.get(self._kind):
            _each(self._spec.get(field), _as_pair)

    def _model(self, old: str, new: str) -> None:
        """`model` and `model_ref` mean the same where an endpoint has that name."""
        if old not in self._spec:
            return
        namespace = self._document["metadata"].get("namespace", DEFAULT_NAMESPACE)
        named = str(self._spec[old])
        if Key(namespace, "ModelEndpoint", named) in self._endpoints:
            _rename(self._spec, old, new)
        elif old == "model":
            hint = "declare a ModelEndpoint of that name, and convert both together"
            words = (
                "the public dialect has no `model`, and there is no ModelEndpoint of that name"
            )
            self._lose(self._spec, old, words, hint)

    def _public_tools(self) -> None:
        tools = self._spec.get("tools")
        for index, tool in enumerate(tools or ()):
            if not isinstance(tool, CommentedMap):
                continue
            if tool.get("permissions"):
                hint = "an AgentRole grants permissions, for every tool of the agent"
                words = "the public dialect grants nothing for one tool"
                self._lose(tool, "permissions", words, hint)
            _swap(tools, index, tool["name"])

    def _lose(
        self, around: CommentedMap, name: str, message: str, hint: str | None = None
    ) -> None:
        line, column = around.lc.key(name)
        problem = Problem(self._path, line + 1, column + 1, message, hint, Severity.WARNING)
        self.losses.append(problem)


def _only_native(kind: str, path: str, value: Any) -> bool:
    return isinstance(value, str) and value in vocabulary.VALUES_NATIVE.get((kind, path), ())


def _places(
    around: CommentedMap, known: Shape | None, at: str
) -> Iterator[tuple[CommentedMap, str, str]]:
    """Every field in canonical spelling, with the mapping it stands in, from the outside in."""
    for name in list(around):
        path = f"{at}{name}"
        yield around, name, path
        if name in around and known is not None and name in known.fields:
            yield from _inside(around[name], known.fields[name][1], f"{path}.")


def _inside(
    value: Any, known: Shape | None, at: str
) -> Iterator[tuple[CommentedMap, str, str]]:
    if known is None:
        return
    if known.fields:
        if isinstance(value, CommentedMap):
            yield from _places(value, known, at)
        return
    parts = value.values() if isinstance(value, CommentedMap) else value
    for part in list(parts) if isinstance(value, CommentedMap | CommentedSeq) else ():
        yield from _inside(part, known.items, at)


def _spell(value: Any, known: Shape | None) -> None:
    """Give every field its canonical spelling, in place."""
    if known is None:
        return
    if isinstance(value, CommentedSeq):
        for part in value:
            _spell(part, known.items)
    elif isinstance(value, CommentedMap):
        for name in list(value):
            canonical, inner = known.inside(name)
            _spell(value[name], inner)
            if canonical != name:
                _rename(value, name, str(canonical))


def _rename(around: CommentedMap, old: str, new: str) -> None:
    """Another name for a field that stays where it is, with its comments and its place."""
    comment, place = around.ca.items.pop(old, None), around.lc.data.get(old)
    position = list(around).index(old)
    around.insert(position, new, around.pop(old))
    if comment is not None:
        around.ca.items[new] = comment
    if place is not None:
        around.lc.data[new] = place


def _each(items: Any, change: Callable[[Any], Any]) -> None:
    for index, item in enumerate(items or ()):
        _swap(items, index, change(item))


def _swap(items: CommentedSeq, index: int, new: Any) -> None:
    """Another item in the place of one, with the comment at the end of its line."""
    old, comment = items[index], items.ca.items.pop(index, [None])[0]
    if isinstance(old, CommentedMap) and len(old.ca.items) == 1:
        comment = next(iter(old.ca.items.values()))[2]
    items[index] = new
    if comment is None:
        return
    if isinstance(new, CommentedMap):
        new.ca.items[next(iter(new))] = [None, None, comment, None]
    else:
        items.ca.items[index] = [comment, None]


def _as_text(permission: Any) -> Any:
    """`{read: invoices}` as the public dialect writes it: `read:invoices`."""
    if not isinstance(permission, dict):
        return permission
    ((verb, resource),) = permission.items()
    if verb == "permission":
        return str(resource)
    return DoubleQuotedScalarString(f"{verb}:{resource}")  # `[read:x]` is no YAML to libyaml.


def _as_pair(permission: Any) -> Any:
    """A text as a pair; the public dialect's free text is `permission: TEXT`."""
    if not isinstance(permission, str):
        return permission
    role = KINDS["AgentRole"].model_validate({"permissions": [permission]})
    ((verb, resource),) = role.model_dump(mode="json")["permissions"][0].items()
    return CommentedMap({verb: resource})


def _named(tool: Any) -> Any:
    return CommentedMap({"name": tool}) if isinstance(tool, str) else tool
