"""Problems as an editor and a person read them, and as JSON. Pure.

    agents/triage.yaml:7:3: error: unknown field `modle`
      7 |   modle: gpt-4
        |   ^
        = did you mean `model`?

The fields of the JSON form are promises; docs/cli.md lists them.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.text import Text

from reconciler.problem import Problem, Severity
from reconciler.views.plain import plain

_STYLE: Final = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}
_WIDTH_MAX: Final = 100  # Of the text shown; a longer line is shown around its column.
_BEFORE: Final = 60
_TAB: Final = "    "


def problem_list(problems: Sequence[Problem]) -> Text:
    """Every problem with its line, and a summary."""
    shown = Text()
    for problem in problems:
        shown.append_text(_problem(problem)).append("\n")
    return shown.append(summary(problems), "bold")


def summary(problems: Iterable[Problem]) -> str:
    """`2 errors, 1 warning in 3 files`."""
    found = list(problems)
    errors = sum(problem.severity is Severity.ERROR for problem in found)
    counts = [
        counted(number, word)
        for number, word in ((errors, "error"), (len(found) - errors, "warning"))
        if number
    ]
    files = len({problem.path for problem in found})
    return f"{', '.join(counts) or 'no problems'} in {counted(files, 'file')}"


def counted(number: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}".replace(",", " ")


def problem_json(problem: Problem) -> dict[str, Any]:
    """One problem for machines."""
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "severity": problem.severity.value,
        "message": problem.message,
        "hint": problem.hint,
    }


def _problem(problem: Problem) -> Text:
    place = f"{plain(problem.path)}:{problem.line}:{problem.column}: "
    style = _STYLE[problem.severity]
    shown = Text.assemble(
        (place, "bold"), (f"{problem.severity}: ", style), plain(problem.message), "\n"
    )
    number = str(problem.line)
    margin = " " * len(number)
    if problem.excerpt is not None:
        line, caret = _excerpt(problem.excerpt, problem.column)
        shown.append(f"  {number} | ", "dim").append(f"{line}\n")
        if caret is not None:
            shown.append(f"  {margin} | ", "dim").append(f"{' ' * caret}^\n", style)
    if problem.hint is not None:
        shown.append(f"  {margin} = ", "dim").append(f"{plain(problem.hint)}\n")
    return shown


def _excerpt(line: str, column: int) -> tuple[str, int | None]:
    """The line as a terminal can show it, and how many cells stand before the column."""
    at = column - 1
    if at > len(line):
        return _shown(line[:_WIDTH_MAX]), None
    start = 0 if len(line) <= _WIDTH_MAX else max(0, min(at - _BEFORE, len(line) - _WIDTH_MAX))
    end = start + _WIDTH_MAX
    before = ("…" if start else "") + _shown(line[start:at])
    after = _shown(line[at:end]) + ("…" if end < len(line) else "")
    return before + after, cell_len(before)


def _shown(text: str) -> str:
    return plain(text.replace("\t", _TAB))
