"""The line of text that a problem points at, unless it could hold a secret. Pure.

Whatever is not known to be harmless is masked: a Secret, a document whose kind was not read
or is unknown (`kind: Secert`), and one that carries a Secret's fields under another kind. So is
a line whose key promises a secret: `api_key` is what people write where none belongs.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from reconciler.manifest.document import Document, Path, Reading
from reconciler.problem import Problem
from runner.contract.kinds import KINDS

MASK: Final = "(hidden)"
_CHARACTERS_MAX: Final = 1_000
_HARMLESS = re.compile(r"(?:apiVersion|kind): *[A-Za-z0-9./_-]* *\Z|---\Z")
_TELLING = re.compile(
    r"(?:api[_-]?key|passw(?:or)?d|token|secret|credentials?|authorization)[\"']?\s*:",
    re.IGNORECASE,
)
_BEFORE_KEY = re.compile(r"[ -]*[\"']?\Z")


def with_excerpts(problems: Iterable[Problem], reading: Reading) -> tuple[Problem, ...]:
    """The problems of a file, each with its line of text, masked where need be."""
    found = []
    for problem in problems:
        if 0 < problem.line <= len(reading.lines):
            line = reading.lines[problem.line - 1]
            document = _around(reading, problem.line)
            harmless = _open(document) and not _TELLING.search(line)
            shown = line if harmless else _masked(document, line, problem.line)
            problem = replace(problem, excerpt=shown[:_CHARACTERS_MAX])
        found.append(problem)
    return tuple(found)


def _around(reading: Reading, line: int) -> Document | None:
    before = [document for document in reading.documents if document.line <= line]
    return before[-1] if before else None


def _open(document: Document | None) -> bool:
    """Whether every line of a document may be shown."""
    if document is None or type(document.value) is not dict:
        return False
    kind = document.value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS or kind in ("Secret", "SealedSecret"):
        return False
    return not any(_of_a_secret(path) for path in document.marks)


def _of_a_secret(path: Path) -> bool:
    # A second `kind` may be that of a Secret whose `---` was forgotten.
    last = path[-1]
    return last in ("stringData", "string_data") or path in (
        ("kind", -1),
        ("data",),
        ("spec", "data"),
    )


def _masked(document: Document | None, line: str, number: int) -> str:
    """A line of which only the key remains, where a key is known to start in it."""
    if _HARMLESS.match(line):
        return line
    for path, marks in document.marks.items() if document is not None else ():
        mark, name = marks[0], path[-1]
        if mark.line + 1 == number and isinstance(name, str):
            before = line[: mark.column]
            if _BEFORE_KEY.match(before) and line.startswith(name, mark.column):
                return f"{before}{name}: {MASK}"
    return line[: len(line) - len(line.lstrip())] + MASK
