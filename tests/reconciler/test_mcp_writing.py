"""What is written as YAML is read as the same value, and nothing in it is hidden."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest import positions, writing

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LINES = st.lists(TEXT, max_size=4).map("\n".join)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | LINES
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


def read(text: str) -> list[Any]:
    reading = positions.read(text.encode())
    assert list(reading.mistakes) == []
    return [document.value for document in reading.documents]


@given(st.lists(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), min_size=1, max_size=2))
def test_what_is_read_is_what_was_written(documents: list[dict[str, Any]]) -> None:
    assert read(writing.text(documents)) == documents


@given(st.dictionaries(TEXT, LINES, min_size=1, max_size=3))
def test_every_character_can_be_seen(document: dict[str, str]) -> None:
    for letter in writing.text([document]).replace("\n", ""):
        assert unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("hidden", ["\U000e0041", "\u202e", "\u200b", "\x1b[8m", "\u2028"])
def test_words_for_a_model_alone_are_shown_by_their_numbers(hidden: str) -> None:
    text = writing.text([{"description": f"Say it back.{hidden}"}])
    assert hidden not in text
    assert "\\" in text


def test_a_long_text_stands_line_by_line() -> None:
    assert writing.text([{"a": "one\n\ntwo"}]) == "a: |-\n  one\n\n  two\n"


@pytest.mark.parametrize("word", ["yes", "null", "True", "1e3", "0x1", "-", "a: b", "#", ""])
def test_a_text_that_could_be_taken_for_something_else_is_quoted(word: str) -> None:
    assert writing.text([{"a": word}]) == f'a: "{word}"\n'
