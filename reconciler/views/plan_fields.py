"""The fields of a change: values, texts word by word, and what a reader would not see. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from rich.text import Text

from reconciler import diff
from reconciler.change import Change, FieldChange
from reconciler.views.plain import plain
from reconciler.views.plan_line import Line
from reconciler.views.problems import counted
from reconciler.views.table import number

FIELDS_MAX: Final = 12
LINES_MAX: Final = 40
VALUE_MAX: Final = 100
STAYS_MAX: Final = 60
RUN_MAX: Final = 400
_KEYED: Final = "hmac-sha256:"
_SEALED: Final = "sealed:"

Run = tuple[str, str]


def field_lines(change: Change, *, full: bool) -> Iterator[Line]:
    """The fields that differ; with `full` all of them, and those that do not."""
    shown = change.fields if full else change.fields[:FIELDS_MAX]
    for field in shown:
        yield from one_field(field, full=full)
    if hidden := len(change.fields) - len(shown):
        yield Line(Text(f"      ({counted(hidden, 'more field')} hidden)", "dim"))
    if full:
        yield from _unchanged(change)


def _unchanged(change: Change) -> Iterator[Line]:
    side = change.after or change.before
    assert side is not None
    changed = tuple(field.path.removesuffix(" (order)") for field in change.fields)
    for path, value in diff.leaves(json.loads(side.body)):
        if not any(
            path == name or path.startswith((f"{name}.", f"{name}[")) for name in changed
        ):
            yield Line(Text(f"        {plain(path)}: {_value(value)}", "dim"))


def one_field(field: FieldChange, *, full: bool = False) -> Iterator[Line]:
    """A field that differs, in as many lines as it takes."""
    name = plain(field.path)
    if field.within:
        name = f"{name} ({_cut(plain(field.within))})"
    remark = f"  ({field.remark})" if field.remark else ""
    if field.words:
        yield from _words(name, field, full=full)
    elif field.before is None:
        yield Line(Text(f"      + {name}: {_value(field.after)}", "green"), "+")
    elif field.after is None:
        yield Line(Text(f"      - {name}: {_value(field.before)}", "red"), "-")
    elif _keyed(field.before) and _keyed(field.after):
        keys = f"{_value(field.before)} → {_value(field.after)}"
        both_sealed = all(str(one).startswith(_SEALED) for one in (field.before, field.after))
        what = "sealed anew" if both_sealed else "value changed"
        yield Line(Text(f"      {name}: {what}  {keys}", "yellow"), "~")
    else:
        was, becomes = _value(field.before), _value(field.after)
        text = Text.assemble(f"      {name}: ", (was, "red"), " → ", (becomes, "green"), remark)
        yield Line(text, "~")


def _keyed(value: object) -> bool:
    return isinstance(value, str) and value.startswith((_KEYED, _SEALED))


def _value(value: object) -> str:
    if isinstance(value, str):
        if value.startswith(_KEYED):
            return f"{_KEYED}{plain(value[len(_KEYED) :][:4])}…"
        if value.startswith(_SEALED):
            return f"{_SEALED}{hashlib.sha256(value.encode()).hexdigest()[:4]}…"
        if (lines := value.count("\n")) > 1:
            return f"({counted(lines, 'line')} of text)"
    return _cut(plain(_json(value)))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"


def _words(name: str, field: FieldChange, *, full: bool) -> Iterator[Line]:
    runs = field.words
    lines = [line for hunk in _hunks(runs) for side in "-+" for line in _side(hunk, side)]
    total = len("".join(text for sign, text in runs if sign != "-").splitlines())
    changed = sum(side == "+" for side, _ in lines)
    remark = f"; {field.remark}" if field.remark else ""
    of = f"{number(changed or len(lines))} of {counted(total, 'line')}{remark}"
    yield Line(Text(f"      {name}: {of}"))
    shown = lines if full else lines[:LINES_MAX]
    for side, text in shown:
        yield Line(Text(f"        {side} {text}", "green" if side == "+" else "red"), side)
    if hidden := len(lines) - len(shown):
        yield Line(Text(f"        ({counted(hidden, 'more changed line')} hidden)", "dim"))
    if kept := total - changed:
        yield Line(Text(f"        ({counted(kept, 'unchanged line')} hidden)", "dim"))


def _hunks(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """The runs, cut where both texts end a line."""
    hunk: list[Run] = []
    for sign, text in runs:
        if sign != "=":
            hunk.append((sign, text))
            continue
        *ended, rest = text.split("\n")
        for piece in ended:
            yield [*hunk, ("=", piece)]
            hunk = []
        hunk.append(("=", rest))
    yield hunk


def _side(hunk: Iterable[Run], side: str) -> Iterator[Run]:
    """The lines of a hunk that only one text has, with `[-old-]` or `{+new+}` inside."""
    lines: list[list[Run]] = [[]]
    for sign, text in hunk:
        if sign in ("=", side):
            first, *rest = text.split("\n")
            lines[-1].append((sign, first))
            lines += [[(sign, piece)] for piece in rest]
    for line in lines:
        parts = [(sign, text) for sign, text in line if text]
        if any(sign == side for sign, _ in parts):
            whole = all(sign == side for sign, _ in parts)
            yield side, "".join(_shown(parts, at, whole=whole) for at in range(len(parts)))


def _shown(parts: Sequence[Run], at: int, *, whole: bool) -> str:
    """A run of a line: what stays is cut to what is near a change, what changed is marked."""
    sign, text = parts[at]
    if sign == "=":
        return plain(_near(text, first=at == 0, last=at == len(parts) - 1))
    shown = plain(text if len(text) <= RUN_MAX else f"{text[:RUN_MAX]}…")
    if text.isspace():
        shown = shown.replace(" ", "·")
    if len(text) > RUN_MAX:
        shown += f" ({number(len(text) - RUN_MAX)} more characters)"
    if whole:
        return shown
    return f"[-{shown}-]" if sign == "-" else "{+" + shown + "+}"


def _near(text: str, *, first: bool, last: bool) -> str:
    """A run that stays: as it is, or its ends where it is longer than anybody reads."""
    if len(text) <= 2 * STAYS_MAX:
        return text
    head = "" if first else text[:STAYS_MAX]
    tail = "" if last else text[-STAYS_MAX:]
    return f"{head}…{tail}"
