"""What a pusher reads in the `remote:` lines: the plan, and what becomes of the push. Pure.

The plan is the one that `orloj plan` shows, without colours and at the width that is left
beside `remote: `; git itself colours a line that begins with `error` or `hint`. A long plan is
cut, and what is left out is counted. Everything that came with the push is neutralised.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reconciler.change import Action, Plan
from reconciler.plan import explain
from reconciler.push.verdict import Ending, Verdict
from reconciler.views.plain import plain
from reconciler.views.plan import block_lines, plan_words
from reconciler.views.problems import counted, problem_list, summary
from reconciler.views.times import moment

WIDTH: Final = 72
"""A terminal of 80 columns without `remote: `."""
CHANGES_MAX: Final = 20
PROBLEMS_MAX: Final = 50
LINES_MAX: Final = 120
_EXCERPT: Final = re.compile(r"\s+(\d+ )?[|=] ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a push comes into: the ref and what it names, and who will apply it.

    `suspended` is the name of the source if it is, and `home` the folder of the state.
    """

    ref: str = ""
    home: str = ""
    stands_at: str = ""
    daemon: bool = True
    suspended: str = ""


def push_lines(verdict: Verdict, outlook: Outlook) -> list[str]:
    """All that the pusher reads about a push, line by line."""
    shown = _shown(verdict)
    lines = [*shown, ""] if shown else []
    lines += [f"error: {plain(sentence)}." for sentence in verdict.sentences]
    lines += _next(verdict, outlook)
    return [part for line in lines for part in _wrapped(line)]


def failure_lines(why: str, remove: str) -> list[str]:
    """What the pusher reads where nobody could look; `remove` takes the hook out."""
    sentence = plain(why).rstrip(".")
    return [
        *_wrapped(f"error: refused, since Orloj cannot look at this push: {sentence}."),
        *_wrapped("Nothing was pushed. When that is mended, push again."),
        plain(f"To push without Orloj, on that host: {remove}"),
    ]


def _shown(verdict: Verdict) -> list[str]:
    """The plan or the problems, shortened."""
    if verdict.plan is not None:
        shown, hidden = _briefly(verdict.plan), len(verdict.plan.changes) - CHANGES_MAX
        lines = plan_words(shown).plain.splitlines()
        return [*_cut(lines), *_hidden(hidden, "more change")]
    if verdict.problems:
        listed = problem_list(verdict.problems[:PROBLEMS_MAX]).plain
        lines = listed.splitlines()[:-1]  # Its last line counts only what is listed.
        hidden = len(verdict.problems) - PROBLEMS_MAX
        return [*lines, *_hidden(hidden, "more problem"), summary(verdict.problems)]
    return [line.plain for line in block_lines(verdict.blocks)]


def _briefly(planned: Plan) -> Plan:
    """The plan with the first changes, and the fields of those that replace something.

    What is new stands in the commit that the pusher has before them.
    """
    shown = planned.changes[:CHANGES_MAX]
    updates = tuple(change for change in shown if change.action is Action.UPDATE)
    explained = {
        change.key: change for change in explain(replace(planned, changes=updates)).changes
    }
    return replace(planned, changes=tuple(explained.get(item.key, item) for item in shown))


def _hidden(count: int, word: str) -> list[str]:
    return [f"Not shown: {counted(count, word)}."] if count > 0 else []


def _cut(lines: Sequence[str]) -> list[str]:
    """The beginning of many lines and their last, which says what they come to."""
    if len(lines) <= LINES_MAX:
        return list(lines)
    hidden = counted(len(lines) - LINES_MAX, "more line")
    return [*lines[: LINES_MAX - 1], f"  ({hidden} not shown)", lines[-1]]


def _next(verdict: Verdict, outlook: Outlook) -> Iterator[str]:
    """What becomes of the push, and what to do."""
    plan = verdict.plan
    if verdict.passes:
        yield _later(verdict, outlook)
    elif verdict.ending is Ending.PLAN_ONLY:
        yield f"Only planned, as you asked: {_stays(outlook)}."
    else:
        yield f"error: refused: {_stays(outlook)}, and nothing is applied."
    free = plan is not None and all(block.until_us is not None for block in plan.blocked)
    if plan is not None and (
        verdict.approvable or (verdict.ending is Ending.PLAN_ONLY and free)
    ):
        yield f"To push exactly this: git push -o approve={plan.short_id}"
    if verdict.problems:
        yield "Mend them, commit, and push again."


def _later(verdict: Verdict, outlook: Outlook) -> str:
    """What happens once the push is done."""
    assert verdict.plan is not None
    if outlook.suspended:
        return f"It is applied once you say: orloj resume {plain(outlook.suspended)}"
    if not outlook.daemon:
        return f"No daemon runs for {plain(outlook.home)}. To apply this: orloj reconcile"
    if verdict.ending is Ending.WAITING:
        until = max(block.until_us or 0 for block in verdict.plan.blocked)
        return f"hint: the push goes on, and the daemon applies this at {moment(until)} UTC."
    return "The daemon applies this when the push is done. To see it: orloj status"


def _stays(outlook: Outlook) -> str:
    if not outlook.ref:
        return "nothing is pushed"
    ref = plain(outlook.ref.removeprefix("refs/heads/"))
    at = f" stays at {outlook.stands_at[:8]}" if outlook.stands_at else " is not made"
    return f"{ref}{at}"


def _wrapped(line: str) -> Iterable[str]:
    """The line at our width; a line of a file stays whole, or its mark would be lost."""
    if len(line) <= WIDTH or _EXCERPT.match(line):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
