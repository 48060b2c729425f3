"""Find secret values in a text, in the ways they are commonly written, and mask them. Pure.

    values ──once──> forms, longest first ──in the text?──> masked

Found are the value itself, escaped for JSON, HTML and URLs, in base64 (also inside a longer
one), base32 and hexadecimal digits, as numbers, backwards, in other cases, by ROT13, letter
by letter with one character between, and in UTF-16. What a program can do to hide a value
has no end: packed, encrypted, cut into pieces or told in words it is not found. Masking is
a belt; that a tool gets no secret but its own is the wall.
"""

import base64
import bisect
import codecs
import html
import json
import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

MASK: Final = "(secret)"
_SHORTEST: Final = 4  # Masking shorter values would tear ordinary words apart.
_WORDLIKE: Final = 8  # What a shorter value becomes may be a word of its own.
_LONGEST: Final = 4_096  # A longer value is a file: only the usual forms are looked for.
_SETS_MAX: Final = 64
_SEPARATORS: Final = (
    " ",
    "-",
    "_",
    ".",
    ",",
    ", ",
    ":",
    "|",
    "/",
    "\n",
    "\t",
    "\x00",
    "\ufffd",
)
_PLAIN: Final = string.ascii_letters + string.digits + "_.-~"
# Python's quote, with and without a slash; JavaScript's encodeURIComponent and encodeURI.
_KEPT: Final = (_PLAIN, _PLAIN + "/", _PLAIN + "!*'()", _PLAIN + "!*'();/?:@&=+$,#")
_URL_SAFE: Final = str.maketrans("+/", "-_")
_NEIGHBOUR: Final = "[A-Za-z0-9+/_-]?"


class _Forms(NamedTuple):
    """Two lists to look for, longest first; the second in a text in lower case.

    `patterns` are for those that are more than their letters: in any mixture of cases, or
    with a neighbour that holds some bits of the value.
    """

    exact: list[str]
    folded: list[str]
    patterns: dict[str, str]
    bytes_max: int


def redact(text: str, values: Iterable[str]) -> str:
    """The text without any of the secret values, however they are commonly written."""
    forms = _forms(frozenset(values))
    found = _found(forms.exact, text)
    if forms.folded:
        found += _found(forms.folded, text.lower())
    # Long ones first, of both lists: a part of one may be a form as well.
    for form in sorted(found, key=len, reverse=True):
        pattern = forms.patterns.get(form)
        text = text.replace(form, MASK) if pattern is None else re.sub(pattern, MASK, text)
    return text


def redact_json(value: Any, values: Collection[str]) -> Any:
    """A JSON value without any secret in it, in its keys, texts and numbers.

    Half of a surrogate pair, which cannot be stored, becomes the `?` that is stored: a tool
    is given what the log says, and nothing else.
    """
    if isinstance(value, str):
        return redact(value.encode("utf-8", "replace").decode(), values)
    if isinstance(value, int | float) and not isinstance(value, bool):
        digits = str(value)
        masked = redact(digits, values)
        return value if masked == digits else masked
    if isinstance(value, dict):
        return {
            redact_json(key, values): redact_json(item, values) for key, item in value.items()
        }
    if isinstance(value, list):
        return [redact_json(item, values) for item in value]
    return value


def excerpt(text: str, length: int, values: Collection[str]) -> str:
    """The beginning of a text, without the secret values and without a part of one.

    Masked before it is cut: half a value would not be found any more. For the same reason
    a reader that cuts must read `longest` bytes more than are wanted: what came shorter is
    whole, and at the end of what did not may stand a part of a form.
    """
    masked = redact(text, values)
    margin = longest(values)
    if len(text.encode("utf-8", "replace")) >= length + margin:
        masked = masked[: max(len(masked) - margin, 0)]
    return masked[:length]


def longest(values: Iterable[str]) -> int:
    """The number of bytes in the longest form in which a value is masked."""
    return _forms(frozenset(values)).bytes_max


def _found(forms: list[str], text: str) -> list[str]:
    start = bisect.bisect_left(forms, -len(text), key=lambda form: -len(form))
    return [form for form in forms[start:] if form in text]


@lru_cache(maxsize=_SETS_MAX)
def _forms(values: frozenset[str]) -> _Forms:
    exact: set[str] = set()
    patterns: dict[str, str] = {}
    folded: set[str] = set()
    for value in values:
        if len(value) < _SHORTEST:
            continue
        data = value.encode("utf-8", "replace")
        exact |= {value, *_escaped(value)}
        digits = {form.lower() for form in _digits(value, data)}
        folded |= digits - ({value.lower()} if len(value) < _WORDLIKE else set())
        for form, pattern in _packed(value, data):
            exact.add(form)
            patterns[form] = pattern
        if len(value) <= _LONGEST:
            exact |= set(_spread(value))
            folded |= {form.lower() for form in _spelled(value, data)}
    exact -= folded  # The same text: the pattern of the second list finds more.
    patterns |= {form: f"(?i:{re.escape(form)})" for form in folded}
    return _Forms(
        sorted(exact, key=len, reverse=True),
        sorted(folded, key=len, reverse=True),
        patterns,
        max((len(form.encode("utf-8", "replace")) + 2 for form in exact | folded), default=0),
    )


def _escaped(value: str) -> Iterator[str]:
    """In JSON, in JSON inside JSON, and in HTML."""
    for ascii_only in (True, False):
        once = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    named = html.escape(value)
    yield from (named, html.escape(value, quote=False))
    yield from (named.replace("&#x27;", other) for other in ("&#39;", "&apos;"))


def _digits(value: str, data: bytes) -> Iterator[str]:
    """In a URL, in one inside another, and in hexadecimal digits."""
    for kept in _KEPT:
        quoted = _quoted(data, kept)
        yield from (quoted, quoted.replace("%20", "+"), quoted.replace("%", "%25"))
    yield data.hex()


def _quoted(data: bytes, kept: str) -> str:
    return "".join(chr(byte) if chr(byte) in kept else f"%{byte:02x}" for byte in data)


def _packed(value: str, data: bytes) -> Iterator[tuple[str, str]]:
    """In base64 and base32, wherever in a longer text, with patterns that take all bits."""
    for form, pattern in _inside(data, 6, base64.b64encode):
        yield form, pattern
        safe = form.translate(_URL_SAFE)
        yield safe, pattern.replace(re.escape(form), re.escape(safe))
    if len(value) > _LONGEST:
        return
    for form, pattern in _inside(data, 5, base64.b32encode):
        yield form, pattern
        yield form.lower(), pattern.replace(form, form.lower())
    # The zero at either end belongs to the byte order, so one form serves for both.
    yield from _inside(value.encode("utf-16-le", "replace")[:-1], 6, base64.b64encode)


def _inside(
    data: bytes, bits: int, encode: Callable[[bytes], bytes]
) -> Iterator[tuple[str, str]]:
    """The characters that depend on the data alone, for each place it may begin at."""
    for before in range(bits // 2 if bits == 6 else bits):
        text = encode(bytes(before) + data).decode("ascii")
        first, last = -(-8 * before // bits), 8 * (before + len(data)) // bits
        form = text[first:last]
        if len(form) >= _SHORTEST:
            leading = _NEIGHBOUR if 8 * before % bits else ""
            trailing = _NEIGHBOUR if 8 * (before + len(data)) % bits else ""
            yield form, leading + re.escape(form) + trailing


def _spread(value: str) -> Iterator[str]:
    """Letter by letter with something between, backwards, and by ROT13."""
    for separator in _SEPARATORS:
        yield separator.join(value)
    if len(value) >= _WORDLIKE:
        yield value[::-1]
        yield codecs.encode(value, "rot13")


def _spelled(value: str, data: bytes) -> Iterator[str]:
    """In other cases, and each character as a number or an escape."""
    if len(value) >= _WORDLIKE:
        yield value
    pairs = [f"{byte:02x}" for byte in data]
    yield from (separator.join(pairs) for separator in (" ", ":", "-", ", ", "\n"))
    yield from ("%" + "%".join(pairs), "\\x" + "\\x".join(pairs), "0x" + ", 0x".join(pairs))
    yield "\\\\x" + "\\\\x".join(pairs)
    numbers = [str(byte) for byte in data]
    yield from (separator.join(numbers) for separator in (",", ", ", " "))
    points = [ord(character) for character in value]
    yield "".join(f"\\u{point:04x}" for point in points)
    yield "".join(f"&#{point};" for point in points)
    yield "".join(f"&#x{point:x};" for point in points)
    yield value.encode("utf-16-le", "replace")[:-1].hex()
