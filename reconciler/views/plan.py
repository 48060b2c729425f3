"""A plan as people read it: what changes, where it says so, why, and what to do next. Pure.

Each change is one line with its sign, its fields and its place, a line with the reason, and
then the fields; a text is shown by the words that differ. What does not differ is counted,
never silently dropped. Everything that came from a manifest is neutralised.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.change import Action, Block, Change, FieldChange, Plan, Target
from reconciler.views.findings import finding_lines
from reconciler.views.plain import plain
from reconciler.views.problems import counted
from reconciler.views.table import number

CHANGES_MAX: Final = 500
FIELDS_MAX: Final = 12
LINES_MAX: Final = 40
VALUE_MAX: Final = 100
TOP_FIELDS_MAX: Final = 6
_COLOURS: Final = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.DELETE: "red"}
_KEYED: Final = "hmac-sha256:"

Run = tuple[str, str]


def plan_words(planned: Plan, *, elapsed_ms: float | None = None, following: str = "") -> Text:
    """The plan for people; `following` is what to do next."""
    parts = [_header(planned, elapsed_ms)]
    if planned.target.subject:
        parts.append(f"  {planned.target.subject} ({planned.target.author})")
    parts.append("")
    lines = [Text(plain(part)) for part in parts]
    lines += _changes(planned)
    lines += finding_lines(planned.findings)
    if planned.findings and (planned.warnings or planned.blocked):
        lines.append(Text())
    lines += [
        Text(f"  Warning: {plain(str(warning))}", "yellow") for warning in planned.warnings
    ]
    lines += block_lines(planned.blocked)
    if planned.changes or planned.warnings or planned.blocked:
        lines.append(Text())
    lines.append(Text(summary(planned), "bold"))
    if following:
        lines.append(Text(f"Next: {plain(following)}", "dim"))
    return Text("\n").join(lines)


def block_lines(blocks: Iterable[Block]) -> list[Text]:
    """Why a plan may not be applied, a line each."""
    return [Text(f"  BLOCKED: {plain(str(block))}", "bold red") for block in blocks]


def summary(planned: Plan) -> str:
    """The one line that says what the plan comes to."""
    if planned.blocked:
        return f"Blocked by {counted(len(planned.blocked), 'reason')}: nothing can be applied."
    if not planned.changes:
        where = f"{plain(_ref(planned.target))} says" if planned.target.commit else "you wrote"
        same = counted(planned.unchanged, "resource")
        return f"No changes. What is recorded is what {where}: {same}."
    counts = planned.counts
    return (
        f"Plan: {number(counts[Action.CREATE])} to create,"
        f" {number(counts[Action.UPDATE])} to update,"
        f" {number(counts[Action.DELETE])} to delete, {number(planned.unchanged)} unchanged."
    )


def _header(planned: Plan, elapsed_ms: float | None) -> str:
    target = planned.target
    parts = [f"Plan {planned.short_id}"]
    if target.commit is None:
        parts.append(f"owned by {target.owner}")
    elif target.previous_commit in (None, target.commit):
        parts.append(_ref(target) + (" (first)" if target.previous_commit is None else ""))
    else:
        assert target.previous_commit is not None
        old, new = target.previous_commit[:8], target.commit[:8]
        parts.append(f"{_branch(target.ref)}@{old} → {new} ({_history(target)})")
    parts.append(f"state #{target.serial}")
    took = f" in {elapsed_ms:.0f} ms" if elapsed_ms is not None else ""
    of = f"{number(planned.examined)} of " if target.commit else ""
    total = planned.total if target.commit else planned.examined
    parts.append(f"{of}{counted(total, 'manifest')} examined{took}")
    return " · ".join(parts)


def _ref(target: Target) -> str:
    return f"{_branch(target.ref)}@{(target.commit or '')[:8]}"


def _branch(ref: str) -> str:
    return ref.removeprefix("refs/heads/")


def _history(target: Target) -> str:
    if not target.fast_forward:
        return "history REWRITTEN"
    commits = "" if target.commits is None else f"{counted(target.commits, 'commit')}, "
    return f"{commits}fast-forward"


def _changes(planned: Plan) -> list[Text]:
    shown = planned.changes[:CHANGES_MAX]
    width = max((len(str(change.key)) for change in shown), default=0)
    lines = [line for change in shown for line in _change(change, width)]
    if hidden := len(planned.changes) - len(shown):
        lines.append(Text(f"  … and {number(hidden)} more; --json lists all", "dim"))
    return lines


def _change(change: Change, width: int) -> Iterator[Text]:
    place = change.after or change.before
    assert place is not None
    colour = _COLOURS[change.action]
    tops = _tops(change.fields)
    yield Text.assemble(
        (f"  {change.action.sign} ", f"bold {colour}"),
        (plain(str(change.key)).ljust(width), "bold"),
        f"  {tops}" if tops else "",
        (f"  {plain(place.path)}:{place.line}", "cyan"),
    )
    yield Text(f"      # {plain(change.reason)}", "dim")
    for field in change.fields[:FIELDS_MAX]:
        yield from field_lines(field)
    if (hidden := len(change.fields) - FIELDS_MAX) > 0:
        yield Text(f"      ({counted(hidden, 'more field')} hidden)", "dim")


def _tops(fields: Iterable[FieldChange]) -> str:
    names = list(
        dict.fromkeys(
            ".".join(field.path.partition("[")[0].partition(" ")[0].split(".")[:2])
            for field in fields
        )
    )
    if len(names) > TOP_FIELDS_MAX:
        names = [*names[:TOP_FIELDS_MAX], "…"]
    return f"[{plain(', '.join(names))}]" if names else ""


def field_lines(field: FieldChange) -> Iterator[Text]:
    """A field that differs, in as many lines as it takes."""
    name = plain(field.path)
    if field.words:
        yield from _words(name, field.words)
    elif field.before is None:
        yield Text(f"      + {name}: {_value(field.after)}", "green")
    elif field.after is None:
        yield Text(f"      - {name}: {_value(field.before)}", "red")
    elif _keyed(field.before) and _keyed(field.after):
        yield Text(f"      {name}: value changed  {_keys(field)}", "yellow")
    else:
        yield Text.assemble(
            f"      {name}: ",
            (_value(field.before), "red"),
            " → ",
            (_value(field.after), "green"),
        )


def _keyed(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_KEYED)


def _keys(field: FieldChange) -> str:
    return f"{_value(field.before)} → {_value(field.after)}"


def _value(value: object) -> str:
    if isinstance(value, str):
        if value.startswith(_KEYED):
            return f"{_KEYED}{plain(value[len(_KEYED) :][:4])}…"
        if (lines := value.count("\n")) > 1:
            return f"({counted(lines, 'line')} of text)"
    return _cut(plain(_json(value)))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"


def _words(name: str, runs: Sequence[Run]) -> Iterator[Text]:
    lines = [line for hunk in _hunks(runs) for side in "-+" for line in _side(hunk, side)]
    total = len("".join(text for sign, text in runs if sign != "-").splitlines())
    changed = sum(side == "+" for side, _ in lines)
    yield Text(f"      {name}: {number(changed or len(lines))} of {counted(total, 'line')}")
    for side, text in lines[:LINES_MAX]:
        yield Text(f"        {side} {text}", "green" if side == "+" else "red")
    if (hidden := len(lines) - LINES_MAX) > 0:
        yield Text(f"        ({counted(hidden, 'more changed line')} hidden)", "dim")
    if kept := total - changed:
        yield Text(f"        ({counted(kept, 'unchanged line')} hidden)", "dim")


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
        parts = [(sign, plain(text)) for sign, text in line if text]
        if any(sign == side for sign, _ in parts):
            whole = all(sign == side for sign, _ in parts)
            yield side, "".join(text if whole else _marked(sign, text) for sign, text in parts)


def _marked(sign: str, text: str) -> str:
    return {"=": text, "-": f"[-{text}-]", "+": "{+" + text + "+}"}[sign]
