"""The changes of a plan: a line each with sign, fields and place, the reason, and the fields.

What does not differ is counted, never silently dropped; `full` shows it. Pure.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.text import Text

from reconciler import moves
from reconciler.change import Action, Change, FieldChange, Plan
from reconciler.estimate.estimate import sentence
from reconciler.manifest.origin import ANNOTATION
from reconciler.views import impact as impact_view
from reconciler.views.plain import plain
from reconciler.views.plan_fields import field_lines
from reconciler.views.plan_line import Line, Same, Telling
from reconciler.views.table import number
from runner.contract.kinds import Key

CHANGES_MAX: Final = 500
TOP_FIELDS_MAX: Final = 6
_COLOURS: Final = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.DELETE: "red",
    Action.MOVE: "cyan",
}


def change_lines(planned: Plan, telling: Telling) -> list[Line]:
    """Every change, and with `full` every resource that does not change."""
    shown = planned.changes if telling.full else planned.changes[:CHANGES_MAX]
    width = max((len(str(change.key)) for change in shown), default=0)
    likely = moves.likely(planned.changes)
    lines: list[Line] = []
    for change in shown:
        lines += _change(change, width, telling, likely.get(change.key))
        touched = impact_view.change_lines(planned.impact, change.key)
        lines += [Line(text, "#") for text in touched]
    if hidden := len(planned.changes) - len(shown):
        lines.append(Line(Text(f"  … and {number(hidden)} more; --json lists all", "dim")))
    if telling.full:
        width = max((len(str(same.key)) for same in telling.same), default=0)
        lines += [_same(same, width) for same in telling.same]
    return lines


def _change(change: Change, width: int, telling: Telling, was: Key | None) -> Iterator[Line]:
    place = change.after or change.before
    assert place is not None
    sign, colour = change.action.sign, _COLOURS[change.action]
    tops = _tops(change.fields)
    first = Text.assemble(
        (f"  {sign} ", f"bold {colour}"),
        (plain(str(change.key)).ljust(width), "bold"),
        f"  {tops}" if tops else "",
        (f"  {plain(place.path)}:{place.line}", "cyan"),
    )
    yield Line(first, sign)
    for reason in _reasons(change, was):
        yield Line(Text(f"      # {plain(reason)}", "dim"), "#")
    if (found := telling.estimates.get(change.key)) is not None:
        yield Line(Text(f"      # {plain(sentence(found))}", "dim"), "#")
    yield from field_lines(change, full=telling.full)


def _reasons(change: Change, was: Key | None) -> list[str]:
    if change.previous is None:
        if was is None:
            return [change.reason]
        near = was.namespace == change.key.namespace
        name = was.name if near else f"{was.namespace}/{was.name}"
        return [change.reason, f"if this was {was}, annotate it: {ANNOTATION}: {name}"]
    why = change.reason.removeprefix(f"moved from {change.previous}: ")
    return [f"{change.previous} has moved to {change.key}", f"({why})"]


def _same(same: Same, width: int) -> Line:
    name = plain(str(same.key)).ljust(width)
    return Line(Text(f"    {name}  {plain(same.path)}:{same.line}", "dim"))


def _top(path: str) -> str:
    """The field that a path begins with; the key of an annotation has dots of its own."""
    if path.startswith("annotations."):
        return path
    return ".".join(path.partition("[")[0].partition(" ")[0].split(".")[:2])


def _tops(fields: Iterable[FieldChange]) -> str:
    names = list(dict.fromkeys(_top(field.path) for field in fields))
    if len(names) > TOP_FIELDS_MAX:
        names = [*names[:TOP_FIELDS_MAX], "…"]
    return f"[{plain(', '.join(names))}]" if names else ""
