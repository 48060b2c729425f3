"""A secret is found however it is commonly written, and all of it is masked."""

import base64
import codecs
import html
import json
import string
from collections.abc import Callable
from urllib import parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import masking
from runner.contract.masking import MASK

SECRET = "Pass\"word <é>+/'7f2"
TOKEN = "sk-Canary_9f2cA7"

Write = Callable[[str], str]

WRITTEN: dict[str, Write] = {
    "plain": str,
    "upper": str.upper,
    "lower": str.lower,
    "mixed": str.swapcase,
    "json": json.dumps,
    "json, not ascii": lambda value: json.dumps(value, ensure_ascii=False),
    "json in json": lambda value: json.dumps(json.dumps({"a": value})),
    "html": html.escape,
    "html, quotes left": lambda value: html.escape(value, quote=False),
    "html, decimal quote": lambda value: html.escape(value).replace("&#x27;", "&#39;"),
    "html, all numbers": lambda value: "".join(f"&#{ord(letter)};" for letter in value),
    "html, all hex": lambda value: "".join(f"&#x{ord(letter):X};" for letter in value),
    "url": lambda value: parse.quote(value, safe=""),
    "url, lower": lambda value: parse.quote(value, safe="").replace("%C3%A9", "%c3%a9"),
    "url, slash left": parse.quote,
    "url twice": lambda value: parse.quote(parse.quote(value, safe=""), safe=""),
    "url, all": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "form": parse.quote_plus,
    "encodeURIComponent": lambda value: parse.quote(value, safe="!*'()"),
    "encodeURI": lambda value: parse.quote(value, safe="!*'();/?:@&=+$,#"),
    "hex": lambda value: value.encode().hex(),
    "upper hex": lambda value: value.encode().hex().upper(),
    "hex, spaced": lambda value: value.encode().hex(" "),
    "hex, colons": lambda value: value.encode().hex(":").upper(),
    "hex, escapes": lambda value: "".join(f"\\x{byte:02x}" for byte in value.encode()),
    "hex, list": lambda value: ", ".join(f"0x{byte:02x}" for byte in value.encode()),
    "hex of utf-16": lambda value: value.encode("utf-16-le").hex(),
    "unicode escapes": lambda value: "".join(f"\\u{ord(letter):04X}" for letter in value),
    "bytes as a list": lambda value: json.dumps(list(value.encode())),
    "bytes, packed list": lambda value: str(list(value.encode())).replace(" ", ""),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64, url": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64, one before": lambda value: base64.b64encode(b"x" + value.encode()).decode(),
    "base64, two before": lambda value: base64.b64encode(b"xy" + value.encode()).decode(),
    "basic auth": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    "base64 of utf-16": lambda value: base64.b64encode(value.encode("utf-16-le")).decode(),
    "base64 of utf-16be": lambda value: base64.b64encode(value.encode("utf-16-be")).decode(),
    "base32": lambda value: base64.b32encode(value.encode()).decode(),
    "base32, lower": lambda value: base64.b32encode(b"abc" + value.encode()).decode().lower(),
    "backwards": lambda value: value[::-1],
    "rot13": lambda value: codecs.encode(value, "rot13"),
    "utf-16 as text": lambda value: value.encode("utf-16-le").decode("utf-8", "replace"),
    "spaced": " ".join,
    "dashed": "-".join,
    "lines": "\n".join,
    "letters as a list": lambda value: ", ".join(value),
}


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
