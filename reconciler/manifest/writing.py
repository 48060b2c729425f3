"""A value as YAML that reads well in a diff, and in which nothing hides. Pure.

Long texts stand as they are, line by line. A character that is not seen, that turns the
direction of reading or steers a terminal is written as its number: a description that holds
words for a model alone must not look empty to the person who reviews it.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*\Z")
_TAKEN: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_STEP: Final = "  "


def text(documents: Sequence[Mapping[str, Any]]) -> str:
    """The documents as one YAML text; parsing it gives them back."""
    return "---\n".join("".join(_mapping(document, "")) for document in documents)


def _mapping(value: Mapping[str, Any], margin: str) -> Iterator[str]:
    for name, item in value.items():
        yield f"{margin}{_scalar(name)}:{_after(item, margin)}"


def _after(value: Any, margin: str) -> str:
    """What stands after `name:`, with the line ends that belong to it."""
    inner = margin + _STEP
    if isinstance(value, Mapping) and value:
        return "\n" + "".join(_mapping(value, inner))
    if isinstance(value, list) and value:
        return "\n" + "".join(_items(value, inner))
    if isinstance(value, str) and _as_lines(value):
        end = "" if value.endswith("\n") else "-"
        lines = value.removesuffix("\n").split("\n")
        return f" |{end}\n" + "".join(f"{inner}{line}\n" if line else "\n" for line in lines)
    return f" {_scalar(value)}\n"


def _items(values: Sequence[Any], margin: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping) and value:
            first = "".join(_mapping(value, margin + _STEP))
            yield f"{margin}- {first.removeprefix(margin + _STEP)}"
        elif isinstance(value, list) and value:
            yield f"{margin}-\n" + "".join(_items(value, margin + _STEP))
        else:
            yield f"{margin}- {_scalar(value)}\n"


def _as_lines(value: str) -> bool:
    """Whether a text can stand line by line and mean the same."""
    lines = value.removesuffix("\n").split("\n")
    if len(lines) < 2 or not lines[0] or lines[0][0] == " " or not lines[-1]:
        return False
    return not any(line != line.rstrip() or _hides(line) for line in lines)


def _hides(line: str) -> bool:
    return any(unicodedata.category(letter) in _UNSEEN for letter in line)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _WORD.match(value) and value.lower() not in _TAKEN:
            return value
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(_shown(letter) for letter in quoted)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _shown(letter: str) -> str:
    if unicodedata.category(letter) not in _UNSEEN:
        return letter
    number = ord(letter)
    return f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"
