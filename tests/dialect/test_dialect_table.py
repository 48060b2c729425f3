"""docs/dialect.md says of every field what it does, so that none is accepted and ignored.

A new field fails here until somebody writes down its effect, or that and why it is refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.manifest.elsewhere import KINDS_ELSEWHERE
from runner.contract.kinds import KINDS
from runner.contract.kinds.schema import Shape, metadata_shape, shape

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "dialect.md").read_text(encoding="utf-8")
PLACES = {**{kind: kind for kind in KINDS}, "metadata": "metadata"}


def fields(known: Shape, at: str = "") -> Iterator[str]:
    """Every field below a place, by its path in canonical spelling."""
    for name in known.canonical:
        yield at + name
        inner = known.fields[name][1]
        while inner is not None and not inner.fields:
            inner = inner.items
        if inner is not None:
            yield from fields(inner, f"{at}{name}.")


def section(place: str) -> str:
    start = PAGE.index(f"\n### {place}\n")
    return PAGE[start:].split("\n### ")[1]


def rows(place: str) -> dict[str, str]:
    """What the table says, by field."""
    found = {}
    for line in section(place).splitlines():
        if line.startswith("| `"):
            _, names, meaning, _ = re.split(r"(?<!\\)\|", line)
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", names), meaning.strip())
    return found


def known(place: str) -> list[str]:
    return list(fields(metadata_shape() if place == "metadata" else shape(place)))


@pytest.mark.parametrize("place", PLACES)
def test_every_field_stands_in_the_table_with_what_it_does(place: str) -> None:
    table = rows(place)
    whole = {name.removesuffix("*"): text for name, text in table.items() if "*" in name}
    missing = []
    for field in known(place):
        if field in table:
            continue
        pages = [text for name, text in whole.items() if field.startswith(name)]
        page = re.search(r"\]\(([a-z-]+\.md)", pages[0]) if pages else None
        leaf = field.rpartition(".")[2]
        # A group may be told of on a page of its own, which then names each of its fields.
        if page is None or not re.search(rf"\b{leaf}\b", (DOCS / page[1]).read_text("utf-8")):
            missing.append(field)
    assert not missing, f"docs/dialect.md does not say what {place} does with {missing}"


@pytest.mark.parametrize("place", PLACES)
def test_the_table_names_no_field_that_is_not_there(place: str) -> None:
    there = set(known(place))
    assert {name for name in rows(place) if "*" not in name} <= there


@pytest.mark.parametrize("place", PLACES)
def test_every_row_says_something(place: str) -> None:
    assert all(rows(place).values())


def test_every_kind_that_is_refused_stands_there() -> None:
    table = PAGE.split("## Kinds that are refused", 1)[1].split("\n## ", 1)[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(KINDS_ELSEWHERE) == set(re.findall(r"`(\w+)`", "".join(first_cells)))
