"""Make text from outside harmless to a terminal, and visible to the eye. Pure."""

import re
from typing import Final

# Control characters steer terminals, direction marks reorder what a reader sees, and
# invisible characters hide text in text (the tag block spells ASCII that nobody sees).
# Lone surrogates cannot be printed at all.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_UNSAFE_BUT_LINES: Final = re.compile(
    "[\x00-\x08\x0b-\x1f" + _UNSAFE.pattern.removeprefix("[\x00-\x1f")
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(text: str) -> str:
    """The text on one line, each unsafe character as `\\x1b` or `\\u202e` would be written."""
    return _UNSAFE.sub(_visible, text)


def plain_lines(text: str) -> str:
    """The same for text of many lines: its line feeds and tabs stay."""
    return _UNSAFE_BUT_LINES.sub(_visible, text)


def plain_json(text: str) -> str:
    """JSON text that means the same, each unsafe character in it as its JSON escape.

    Line feeds stay: in JSON they only stand between values.
    """
    return _UNSAFE_BUT_LINES.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _visible(found: re.Match[str]) -> str:
    character = found.group()
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
