"""Which fields differ between two bodies, as a person would say it. Pure.

Equal branches are pruned before anything is compared in depth: DeepDiff on two equal specs
costs a thousand times what `==` does. It is asked only about lists whose items have no
name. Lists of named objects are matched by name, so that a reordered list is not a hundred
changes; permissions are a set; long texts are compared word by word.

Nothing here decides whether something changed: the hashes of the bodies do.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from deepdiff import DeepDiff

from reconciler.change import FieldChange

LONG_TEXT: Final = 60
ALIGNED_ITEMS_MAX: Final = 200  # Aligning longer lists is quadratic; they go by position.
LINES_MAX: Final = 2_000
WORDS_MAX: Final = 1_000

_PERMISSIONS: Final = (".permissions", ".requires", ".requireApproval")
_SPACE = re.compile(r"\s")
_WORD = re.compile(r"\s+|\w+|[^\w\s]")

Run = tuple[str, str]


def diff(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[FieldChange, ...]:
    """The fields that differ, in the order of their paths; none when both are the same."""
    return tuple(_mappings("", before or {}, after or {}))


def words(before: str, after: str) -> tuple[Run, ...]:
    """Runs of text that stayed (`=`), went (`-`) and came (`+`).

    Empty when the texts are too long to be compared in bounded time: then nobody would
    read the answer either.
    """
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) + len(new) > LINES_MAX:
        return ()
    runs: list[Run] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new).get_opcodes():
        removed, added = "".join(old[i1:i2]), "".join(new[j1:j2])
        runs += [("=", removed)] if tag == "equal" else _replaced(removed, added)
    return tuple(_joined(runs))


def _replaced(removed: str, added: str) -> list[Run]:
    old, new = _WORD.findall(removed), _WORD.findall(added)
    if not old or not new or len(old) + len(new) > WORDS_MAX:
        return [("-", removed), ("+", added)]
    runs: list[Run] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(("=", "".join(old[i1:i2])))
        else:
            runs += [("-", "".join(old[i1:i2])), ("+", "".join(new[j1:j2]))]
    return runs


def _joined(runs: Sequence[Run]) -> Iterator[Run]:
    sign, text = "=", ""
    for next_sign, next_text in runs:
        if next_sign == sign:
            text += next_text
        elif next_text:
            if text:
                yield sign, text
            sign, text = next_sign, next_text
    if text:
        yield sign, text


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
        yield FieldChange(path, before, after, _text(before, after))
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


def _text(before: str, after: str) -> tuple[Run, ...]:
    if not (_SPACE.search(before) and _SPACE.search(after)):
        return ()  # A name, an address or a digest is one word: it is another, not edited.
    long = max(len(before), len(after)) > LONG_TEXT or "\n" in before + after
    return words(before, after) if long else ()


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
    aligned = len(before) + len(after) <= ALIGNED_ITEMS_MAX
    tree = DeepDiff(before, after, view="tree", zip_ordered_iterables=not aligned)
    found = [
        FieldChange(
            path + "".join(_step(step) for step in level.path(output_format="list")),
            None if kind.endswith("_added") else level.t1,
            None if kind.endswith("_removed") else level.t2,
        )
        for kind, levels in tree.items()
        for level in levels
    ]
    yield from sorted(found, key=lambda change: (change.path, change.before is None))


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"
