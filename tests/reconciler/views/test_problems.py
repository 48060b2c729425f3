"""A problem is shown with its place, its line, a caret under the column, and what to do."""

import pytest

from reconciler.problem import Problem, Severity
from reconciler.views import problems as view


def shown(problem: Problem) -> list[str]:
    return view.problem_list([problem]).plain.splitlines()


def test_a_problem_is_shown_as_editors_link_it_with_its_line_and_hint() -> None:
    message, hint = "unknown field `modle`", "did you mean `model`?"
    problem = Problem("a.yaml", 7, 3, message, hint, Severity.ERROR, "  modle: gpt-4")

    assert shown(problem) == [
        "a.yaml:7:3: error: unknown field `modle`",
        "  7 |   modle: gpt-4",
        "    |   ^",
        "    = did you mean `model`?",
        "",
        "1 error in 1 file",
    ]


@pytest.mark.parametrize(
    ("excerpt", "column", "line", "caret"),
    [
        ("a: b", 4, "a: b", "   ^"),
        ("\ta: b", 2, "    a: b", "    ^"),
        ("漢字: b", 5, "漢字: b", "      ^"),
        ("e\u0301: b", 5, "e\u0301: b", "   ^"),
        ("\x1b[31m: b", 8, "\\x1b[31m: b", "          ^"),
        ("\u202ea", 2, "\\u202ea", "      ^"),
        (
            "x" * 300 + "Y" + "x" * 300,
            301,
            "…" + "x" * 60 + "Y" + "x" * 39 + "…",
            " " * 61 + "^",
        ),
        ("short", 99, "short", None),
    ],
    ids=["plain", "tab", "wide", "combining", "escape", "bidi", "long", "beyond"],
)
def test_the_caret_stands_under_the_column_whatever_the_line_holds(
    excerpt: str, column: int, line: str, caret: str | None
) -> None:
    lines = shown(Problem("a", 1, column, "m", None, Severity.ERROR, excerpt))

    assert lines[1] == f"  1 | {line}"
    assert lines[2] == (f"    | {caret}" if caret is not None else "")


def test_nothing_of_a_hostile_manifest_reaches_the_terminal_unescaped() -> None:
    evil = "\x1b]0;owned\x07\u202e"
    text = view.problem_list([Problem(evil, 1, 1, evil, evil, Severity.ERROR, evil)]).plain

    assert not set("\x1b\x07\u202e") & set(text)


@pytest.mark.parametrize(
    ("problems", "words"),
    [
        ([], "no problems in 0 files"),
        ([("a", Severity.ERROR)], "1 error in 1 file"),
        ([("a", Severity.WARNING), ("b", Severity.WARNING)], "2 warnings in 2 files"),
        (
            [("a", Severity.ERROR), ("b", Severity.ERROR), ("b", Severity.WARNING)],
            "2 errors, 1 warning in 2 files",
        ),
    ],
    ids=["none", "one", "warnings", "both"],
)
def test_the_summary_counts_what_was_found(
    problems: list[tuple[str, Severity]], words: str
) -> None:
    found = [Problem(path, 1, 1, "m", None, severity) for path, severity in problems]

    assert view.summary(found) == words


def test_the_json_form_has_the_promised_fields() -> None:
    problem = Problem("a", 1, 2, "m", "h", Severity.WARNING, "line")

    assert view.problem_json(problem) == {
        "path": "a",
        "line": 1,
        "column": 2,
        "severity": "warning",
        "message": "m",
        "hint": "h",
    }
