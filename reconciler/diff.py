"""Which fields differ between two bodies, as a person would say it. Pure.

Equal branches are pruned before anything is compared in depth: DeepDiff on two equal specs
costs a thousand times what `==` does. It is asked only about lists whose items have no
name. Lists of named objects are matched by name, so that a reordered list is not a hundred
changes; permissions are a set; long texts are compared word by word.

Nothing here decides whether something changed: the hashes of the bodies do.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler import word_diff
from reconciler.change import FieldChange

LONG_TEXT: Final = 60
ALIGNED_ITEMS_MAX: Final = 200  # Aligning longer lists is quadratic; they go by position.
IDENTITIES_MAX: Final = 2

_PERMISSIONS: Final = (".permissions", ".requires", ".requireApproval")
_IDENTITIES: Final = (
    "name", "id", "key", "tool", "agent", "operation_class", "from", "to", "kind", "verb",
    "host", "path", "ref", "risk", "title",
)  # fmt: skip
"""Fields that tell a person which item of a list is meant, where it has no name of its own."""


def diff(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[FieldChange, ...]:
    """The fields that differ, in the order of their paths; none when both are the same."""
    return tuple(_mappings("", before or {}, after or {}))


def _mappings(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[FieldChange]:
    for name in sorted({*before, *after}):
        here = f"{path}.{name}" if path else name
        yield from _values(here, before.get(name), after.get(name))


def _values(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if _same(before, after):
        return
    if _pair(before, after, dict):
        yield from _mappings(path, before or {}, after or {})
    elif _pair(before, after, list):
        yield from _lists(path, before or [], after or [])
    elif isinstance(before, str) and isinstance(after, str):
        yield _texts(path, before, after)
    else:
        yield FieldChange(path, before, after)


def _same(before: Any, after: Any) -> bool:
    # `1 == True` in Python, and `1` is not `true` in a manifest.
    return bool(before == after) and _json(before) == _json(after)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _pair(before: Any, after: Any, kind: type) -> bool:
    """Whether both are of a kind, or one is and the other absent; an empty one is a value."""
    if before is None or after is None:
        return isinstance(before or after or None, kind)
    return isinstance(before, kind) and isinstance(after, kind)


def _texts(path: str, before: str, after: str) -> FieldChange:
    readable = word_diff.readable(before) and word_diff.readable(after)
    long = max(len(before), len(after)) > LONG_TEXT or "\n" in before + after
    runs = word_diff.words(before, after) if readable and long else ()
    return FieldChange(path, before, after, runs, remark=word_diff.remark(before, after))


def _lists(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    if path.endswith(_PERMISSIONS) and _all_pairs(before) and _all_pairs(after):
        yield from _permissions(path, before, after)
        return
    old, new = _named(before), _named(after)
    if old is None or new is None:
        yield from _unnamed(path, before, after)
        return
    for name in sorted({*old, *new}):
        yield from _values(f"{path}[{name}]", old.get(name), new.get(name))
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        yield FieldChange(f"{path} (order)", list(old), list(new))


def _named(items: list[Any]) -> dict[str, Any] | None:
    """The items by name without the name; None when some have none or share one."""
    found: dict[str, Any] = {}
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name in found:
            return None
        found[name] = item
    return found


def _all_pairs(items: list[Any]) -> bool:
    return all(
        isinstance(item, dict) and len(item) == 1 and isinstance(next(iter(item.values())), str)
        for item in items
    )


def _permissions(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    old = [": ".join(*item.items()) for item in before]
    new = [": ".join(*item.items()) for item in after]
    for item in sorted({*old} - {*new}):
        yield FieldChange(path, item, None)
    for item in sorted({*new} - {*old}):
        yield FieldChange(path, None, item)
    if {*old} == {*new}:
        yield FieldChange(f"{path} (order)", old, new)


def _unnamed(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    # Loading it takes longer than most plans do, and few changes come as far as here.
    from deepdiff import DeepDiff

    aligned = len(before) + len(after) <= ALIGNED_ITEMS_MAX
    texts: dict[str, str] = {}
    # DeepDiff compares long texts letter by letter: it gets a token for each instead.
    old, new = _tokens(before, texts), _tokens(after, texts)
    tree = DeepDiff(old, new, view="tree", zip_ordered_iterables=not aligned)
    found: list[FieldChange] = []
    for kind, levels in tree.items():
        for level in levels:
            steps = level.path(output_format="list")
            here = path + "".join(map(_step, steps))
            was = None if kind.endswith("_added") else _restored(level.t1, texts)
            becomes = None if kind.endswith("_removed") else _restored(level.t2, texts)
            if isinstance(was, str) and isinstance(becomes, str):
                made = _texts(here, was, becomes)
            else:
                made = FieldChange(here, was, becomes)
            found.append(replace(made, within=_identity(before, after, steps)))
    yield from sorted(found, key=lambda change: (change.path, change.before is None))


def _tokens(value: Any, texts: dict[str, str]) -> Any:
    """The same value with a token for each long text; `texts` learns what they stand for."""
    match value:
        case str() if len(value) > LONG_TEXT or "\n" in value:
            token = "text:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
            texts[token] = value
            return token
        case dict():
            return {name: _tokens(item, texts) for name, item in value.items()}
        case list():
            return [_tokens(item, texts) for item in value]
    return value


def _restored(value: Any, texts: Mapping[str, str]) -> Any:
    match value:
        case str():
            return texts.get(value, value)
        case dict():
            return {name: _restored(item, texts) for name, item in value.items()}
        case list():
            return [_restored(item, texts) for item in value]
    return value


def _identity(before: list[Any], after: list[Any], steps: list[str | int]) -> str:
    """What tells the innermost list item around a leaf apart: `tool: mail`; else empty."""
    for side in (after, before):
        inner: Any = side
        said = ""
        for step in steps[:-1]:
            try:
                inner = inner[step]
            except (IndexError, KeyError, TypeError):
                break
            if isinstance(step, int) and isinstance(inner, dict):
                said = _known_by(inner)
        if said:
            return said
    return ""


def _known_by(item: Mapping[str, Any]) -> str:
    named = [name for name in _IDENTITIES if isinstance(item.get(name), str | int)]
    return ", ".join(f"{name}: {item[name]}" for name in named[:IDENTITIES_MAX])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a body with its path, as `diff` would call it."""
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from leaves(value[name], f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        named = None if path.endswith(_PERMISSIONS) else _named(value)
        for at, item in enumerate(value):
            yield from leaves(item, f"{path}[{item['name'] if named else at}]")
    else:
        yield path, value


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"
