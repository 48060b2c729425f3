"""A secret is found however it is commonly written, and all of it is masked."""

import base64
import json
import string
from collections.abc import Callable

import pytest
from canaries import WRITTEN
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import masking
from runner.contract.masking import MASK

SECRET = "Pass\"word <é>+/'7f2"
TOKEN = "sk-Canary_9f2cA7"


def left(masked: str) -> str:
    return masked.replace(MASK, "")


@pytest.mark.parametrize("way", WRITTEN)
def test_a_value_is_masked_however_it_is_written(way: str) -> None:
    if way != "utf-16 as text":  # Of which only letters of ASCII are text again.
        written = WRITTEN[way](SECRET)
        assert MASK in masking.redact(f"<{written}>", [SECRET, "other-value"])
    written = WRITTEN[way](TOKEN)
    masked = masking.redact(f"<{written}>", [TOKEN, "other-value"])
    assert MASK in masked
    # What remains is the wrapping, and no more of the value than a character's bits.
    assert len(left(masked)) <= 2 + max(0, len(written) - len(TOKEN)) // 2 + 8
    assert TOKEN[3:9].lower() not in masked.lower()


@given(
    value=st.text(string.ascii_letters + string.digits + "_-", min_size=8, max_size=60),
    before=st.binary(max_size=20),
    after=st.binary(max_size=20),
    encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode, base64.b32encode]),
)
def test_no_whole_character_of_a_value_is_left_inside_longer_packed_data(
    value: str, before: bytes, after: bytes, encode: Callable[[bytes], bytes]
) -> None:
    bits = 5 if encode is base64.b32encode else 6
    packed = encode(before + value.encode() + after).decode()
    head, mark, tail = masking.redact(packed, [value]).partition(MASK)
    assert mark
    # Each character that is left belongs to the bytes before or after the value.
    assert len(head) * bits <= len(before) * 8
    assert len(tail.rstrip("=")) * bits <= len(after) * 8 + bits


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a cat sat", ["cat"]),
        ("evil and rats", ["live", "star"]),
        ("Word and word", ["WORD"]),
        ("", ["hunter2"]),
        ("nothing here", ["hunter2"]),
        ("nothing here", []),
        ("nothing here", [""]),
    ],
)
def test_ordinary_words_are_left_alone(text: str, values: list[str]) -> None:
    assert masking.redact(text, values) == text


def test_masking_what_is_masked_changes_nothing() -> None:
    once = masking.redact(f"{TOKEN} {WRITTEN['basic auth'](TOKEN)}", [TOKEN])
    assert masking.redact(once, [TOKEN]) == once


def test_a_value_that_is_a_whole_file_is_masked_in_the_usual_forms() -> None:
    key = "-----BEGIN KEY-----\n" + "Zm9v" * 4_000 + "\n-----END KEY-----"
    for way in ("plain", "json", "url", "hex", "base64", "basic auth"):
        assert MASK in masking.redact(WRITTEN[way](key), [key])


def test_of_many_values_each_is_masked() -> None:
    values = [f"{TOKEN}-{number:03}" for number in range(50)]
    text = json.dumps({value: base64.b64encode(value.encode()).decode() for value in values})
    masked = masking.redact(text, values)
    assert masked.count(MASK) == 100
    assert TOKEN not in masked


@pytest.mark.parametrize("way", ["plain", "base64", "hex", "unicode escapes", "html, all hex"])
def test_no_part_of_a_form_is_left_where_a_reader_cut(way: str) -> None:
    margin, length = masking.longest([TOKEN]), 40
    form = WRITTEN[way](TOKEN)
    for filler in range(length + 2):
        read = ("." * filler + form * 20).encode()[: length + margin].decode()
        shown = masking.excerpt(read, length, [TOKEN])
        assert len(shown) <= length
        assert set(left(shown)) <= set("." + "=" + MASK)


def test_an_answer_that_came_whole_is_shown_up_to_the_length() -> None:
    assert len(TOKEN) < 300 < 305 < 300 + masking.longest([TOKEN])
    assert masking.excerpt("x" * 305, 300, [TOKEN]) == "x" * 300
