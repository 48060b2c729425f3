"""`orloj diff`: what differs between two commits, whatever is applied; with `--effective`,
who may do what at each.

Exit codes: 0 done, 1 error, 2 differences (only with `--detailed-exitcode`). Nothing is
written but the cache of parsed blobs.
"""

from typing import Any

import click

from reconciler.cli import effective
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import source_option
from reconciler.cli.plan import CHANGES
from reconciler.cli.planning import read_time
from reconciler.plan import explain
from reconciler.reconcile import Reconciler
from reconciler.review import comparing
from reconciler.review.points import APPLIED, Point, point
from reconciler.views import access_diff
from reconciler.views.plan import plan_words
from reconciler.views.plan_json import plan_json
from reconciler.views.plan_line import Telling


class Span(click.ParamType[tuple[str, str]]):
    """`A..B`: two commits, branches or times; what is left out is what is applied."""

    name = "A..B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Both ends."""
        if isinstance(value, tuple):
            return value
        first, dots, second = value.partition("..")
        if not dots or second.startswith(".") or not (first or second):
            self.fail(f"{value!r} is not A..B, as in 8411f23d..main or 2d..applied")
        return first or APPLIED, second or APPLIED


@click.command()
@click.argument("span", type=Span())
@source_option
@click.option("--effective", "judged", is_flag=True, help="Who may do what, and limits.")
@click.option("--full", is_flag=True, help="Show every field that differs, and those that not.")
@json_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 where they differ.")
@click.pass_obj
def command(
    context: Context,
    *,
    span: tuple[str, str],
    source: str,
    judged: bool,
    full: bool,
    as_json: bool,
    detailed_exitcode: bool,
) -> int:
    """Show what differs between two commits, A..B: hashes, branches, or times.

    A time stands for the commit that was applied then: `2d..applied`.
    """
    old, new = (
        point(context.settings, context.database, source, text, read_time=read_time)
        for text in span
    )
    reconciler = Reconciler(context.settings, context.database, source)
    found = comparing.compare(reconciler, old.commit, new.commit)
    if judged:
        shifts = access_diff.compare(*map(effective.bounded, (found.before, found.after)))
        if as_json:
            context.show_json(
                {
                    "before": found.before[0],
                    "after": found.after[0],
                    "agents": access_diff.shift_json(shifts),
                }
            )
        else:
            context.show(access_diff.shift_words(shifts))
        return CHANGES if detailed_exitcode and shifts else 0
    planned = explain(found.plan)
    telling = Telling(title="Diff", stateless=True, full=full, remarks=_remarks(span, old, new))
    if as_json:
        context.show_json(plan_json(planned, telling))
    else:
        context.show(plan_words(planned, telling=telling))
    return CHANGES if detailed_exitcode and planned.changes else 0


def _remarks(span: tuple[str, str], old: Point, new: Point) -> tuple[str, ...]:
    """How the ends were found, where they were not named by hash."""
    return tuple(
        f"{text}: {at.commit[:12]}" + (f", {at.words}" if at.words != text else "")
        for text, at in zip(span, (old, new), strict=True)
        if at.words
    )
