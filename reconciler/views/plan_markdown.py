"""A plan as a comment on a pull request: the terminal's lines, on a page. Pure.

    marker      an HTML comment, by which a script finds its own comment again
    summary     our words only, outside of everything that folds
    findings    who may do more: first, and never folded
    blocks, warnings
    changes     folded, in a `diff` block for the colours
    next        the command to go on with

Whoever opens a pull request writes most of what stands here. All of it stands in code blocks
whose fence is longer than any run of backticks in them, where no HTML, no mention, no link and
no command of the forge means anything. The page is never longer than a forge takes; what is
left out is counted.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from reconciler.change import Block, Plan
from reconciler.governance.finding import Finding, Severity
from reconciler.problem import Problem
from reconciler.views import findings as finding_view
from reconciler.views import impact as impact_view
from reconciler.views.plain import plain
from reconciler.views.plan_change import change_lines
from reconciler.views.plan_head import head, summary
from reconciler.views.plan_line import NOTHING_MORE, Telling
from reconciler.views.problems import counted
from reconciler.views.table import number

CHARACTERS_MAX: Final = 60_000
"""A forge refuses a comment of more than 65 536; counted in UTF-16, as the narrowest does."""
LINE_MAX: Final = 500
FINDINGS_MAX: Final = 50
WARNINGS_MAX: Final = 20
PROBLEMS_MAX: Final = 80
_BACKTICKS: Final = re.compile(r"`+")
_NAME: Final = re.compile(r"[^a-z0-9-]")


def plan_markdown(planned: Plan, telling: Telling = NOTHING_MORE) -> str:
    """The plan for a pull request; ends with a line feed."""
    above = [
        marker(planned.target.source),
        f"### {_title(planned, telling)}",
        _fenced("text", map(plain, head(planned, telling))),
        *_findings(planned.findings),
        *_blocked(planned.blocked),
        *_warnings(planned.warnings),
    ]
    below = _next(telling.following)
    room = CHARACTERS_MAX - _size("\n\n".join([*above, *below])) - 200
    return "\n\n".join([*above, *_changes(planned, telling, room), *below]) + "\n"


def problems_markdown(problems: Sequence[Problem], blocks: Sequence[Block], source: str) -> str:
    """Why there is no plan, for a pull request; ends with a line feed."""
    shown = [
        f"{problem.severity.value}: {problem}" + (f" ({problem.hint})" if problem.hint else "")
        for problem in problems
    ]
    parts = [marker(source), "### Orloj: this commit cannot be applied"]
    parts += [_fenced("text", _listed(shown, PROBLEMS_MAX))] if shown else []
    return "\n\n".join([*parts, *_blocked(blocks)]) + "\n"


def marker(source: str) -> str:
    """The comment in the comment that says whose it is: one for each repository."""
    return f"<!-- orloj-plan {_NAME.sub('', source) or 'default'} -->"


def _title(planned: Plan, telling: Telling) -> str:
    words = summary(planned, telling.partial) + impact_view.summary(planned.impact)
    if not planned.blocked and not planned.changes and telling.partial is None:
        words = f"No changes: {counted(planned.unchanged, 'resource')}."  # Ours, no ref in it.
    widened = len(planned.widenings)
    loud = f" · **widens permissions ({number(widened)})**" if widened else ""
    return f"Orloj {words[0].lower()}{words[1:]}{loud}"


def _findings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    lines = [_finding(item) for item in findings[:FINDINGS_MAX]]
    if hidden := len(findings) - len(lines):
        lines.append(f"  … and {number(hidden)} more; orloj plan --json lists all")
    return [f"**{finding_view.summary(findings)}**", _fenced("diff", lines)]


def _finding(item: Finding) -> str:
    words = {Severity.WIDENS: "! widens", Severity.NARROWS: "+ narrows"}
    sign = "- !" if item.loud else words.get(item.severity, "# note")
    return f"{sign}: {plain(item.sentence)}  {plain(item.path)}:{item.line}"


def _blocked(blocks: Sequence[Block]) -> list[str]:
    if not blocks:
        return []
    lines = [f"- BLOCKED ({plain(block.reason)}): {plain(str(block))}" for block in blocks]
    return ["**Blocked**", _fenced("diff", _listed(lines, WARNINGS_MAX))]


def _warnings(warnings: Sequence[Problem]) -> list[str]:
    if not warnings:
        return []
    lines = [plain(str(warning)) for warning in warnings]
    return [
        f"**{counted(len(warnings), 'warning')}**",
        _fenced("text", _listed(lines, WARNINGS_MAX)),
    ]


def _listed(lines: Sequence[str], shown_max: int) -> list[str]:
    shown = list(map(plain, lines[:shown_max]))
    hidden = len(lines) - len(shown)
    return [*shown, f"… and {number(hidden)} more"] if hidden else shown


def _changes(planned: Plan, telling: Telling, room: int) -> list[str]:
    """The changes, folded; as many lines as there is room for, and how many are left out."""
    if not planned.changes:
        return []
    lines = [_short(line.diff) for line in change_lines(planned, telling)]
    kept: list[str] = []
    for line in lines:
        room -= _size(line) + 1
        if room < 0:
            break
        kept.append(line)
    if hidden := len(lines) - len(kept):
        kept.append(f"  … {counted(hidden, 'more line')} left out; orloj plan shows all")
    words = counted(len(planned.changes), "change")
    opened = " open" if len(kept) <= 30 else ""
    return [
        f"<details{opened}><summary>{words}</summary>",
        _fenced("diff", kept),
        "</details>",
    ]


def _next(following: str) -> list[str]:
    return ["Next:", _fenced("text", [plain(following)])] if following else []


def _fenced(language: str, lines: Iterable[str]) -> str:
    """A code block that nothing in it can end."""
    body = "\n".join(map(_short, lines))
    longest = max((len(run) for run in _BACKTICKS.findall(body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def _short(line: str) -> str:
    coded = line.encode("utf-16-le", "surrogatepass")
    if len(coded) <= 2 * LINE_MAX:
        return line
    return coded[: 2 * LINE_MAX - 2].decode("utf-16-le", "ignore") + "…"


def _size(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
