"""A plan as people read it: what changes, where it says so, why, and what to do next. Pure.

    plan_head      the first lines and the last
    plan_change    the changes, a line each with their reasons
    plan_fields    the fields of a change, texts word by word
    plan_line      what a line is, here and in Markdown
    findings       what the changes mean for who may do what

`plan_markdown` shows the same lines on a page. Everything that came from a manifest is
neutralised.
"""

from collections.abc import Iterable
from dataclasses import replace

from rich.text import Text

from reconciler.change import Block, Plan
from reconciler.problem import Problem
from reconciler.views import impact as impact_view
from reconciler.views.findings import finding_lines
from reconciler.views.plain import plain
from reconciler.views.plan_change import CHANGES_MAX, change_lines
from reconciler.views.plan_head import head, summary
from reconciler.views.plan_line import NOTHING_MORE, Telling, texts

__all__ = ["CHANGES_MAX", "block_lines", "plan_words", "summary", "warning_lines"]


def plan_words(
    planned: Plan,
    *,
    elapsed_ms: float | None = None,
    following: str = "",
    telling: Telling = NOTHING_MORE,
) -> Text:
    """The plan for people; `following` is what to do next."""
    telling = replace(
        telling,
        elapsed_ms=telling.elapsed_ms if elapsed_ms is None else elapsed_ms,
        following=following or telling.following,
    )
    lines = [Text(plain(part)) for part in [*head(planned, telling), ""]]
    lines += texts(change_lines(planned, telling))
    lines += finding_lines(planned.findings)
    if planned.findings and (planned.warnings or planned.blocked):
        lines.append(Text())
    lines += warning_lines(planned.warnings)
    lines += block_lines(planned.blocked)
    if planned.changes or planned.warnings or planned.blocked:
        lines.append(Text())
    words = summary(planned, telling.partial, telling.title)
    lines.append(Text(words + impact_view.summary(planned.impact), "bold"))
    if telling.following:
        lines.append(Text(f"Next: {plain(telling.following)}", "dim"))
    return Text("\n").join(lines)


def warning_lines(warnings: Iterable[Problem]) -> list[Text]:
    """What deserves a word and stops nothing, a line each."""
    return [Text(f"  Warning: {plain(str(warning))}", "yellow") for warning in warnings]


def block_lines(blocks: Iterable[Block]) -> list[Text]:
    """Why a plan may not be applied, a line each."""
    return [
        Text(f"  BLOCKED: {plain(str(block))}{_whose(block)}", "bold red") for block in blocks
    ]


def _whose(block: Block) -> str:
    return f" ({plain(block.whose)})" if block.whose else ""
