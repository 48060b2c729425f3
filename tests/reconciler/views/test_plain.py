"""Text from outside cannot steer a terminal, and what it tried stays visible."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.views.plain import plain, plain_json, plain_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ordinary text, ümläut, 漢字, 👩‍💻", "ordinary text, ümläut, 漢字, 👩‍💻"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b2J", "\\x9b2J"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("a\U000e0041b", "a\\U000e0041b"),
        ("half \ud800", "half \\ud800"),
    ],
    ids=["ordinary", "escape", "lines", "c1", "bidi", "isolate", "tag", "surrogate"],
)
def test_unsafe_characters_are_shown_as_they_would_be_written(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_text_of_many_lines_keeps_only_its_line_feeds_and_tabs() -> None:
    assert plain_lines("a\n\tb\r\x1b[2J") == "a\n\tb\\r\\x1b[2J"


@given(st.text(alphabet=st.characters()))
def test_nothing_that_is_left_is_a_control_or_a_surrogate(text: str) -> None:
    assert not [c for c in plain(text) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    plain(text).encode()


@given(
    st.recursive(
        st.text(alphabet=st.characters()),
        lambda of: st.lists(of) | st.dictionaries(st.text(), of),
    )
)
def test_json_without_unsafe_characters_means_the_same(value: object) -> None:
    text = plain_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(text) == value
    assert plain_lines(text) == text
