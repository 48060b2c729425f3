"""What a statement for PostgreSQL calls and how it begins, before a server sees it. Pure.

This is no parser. It cuts the text into words, texts and signs as PostgreSQL does, and
refuses every form that the two could cut differently: comments, dollar quotes, escapes and
prefixed texts. So each name before an opening parenthesis is found, whatever it is hidden in;
the server then says which of these names are functions.
"""

import re
from dataclasses import dataclass
from typing import Final

from runner.contract.errors import ToolFailed

IDENTIFIER_BYTES_MAX: Final = 63
"""PostgreSQL cuts longer names, so that they might become others."""

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\n\r\f]+)
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
    |(?P<number>\$?[0-9]+)
    |(?P<sign>[-+*/<>=~!@\#%^&|`?()\[\],;:.])""",
    re.VERBOSE,
)
_BEGINS: Final = {
    "read": ("select", "with", "values", "table"),
    "write": ("insert", "update", "delete", "merge", "with", "select", "values", "table"),
    "admin": ("create", "alter", "drop"),
}
_DEFINED: Final = frozenset({"table", "view", "index", "unique"})
_LOWER: Final = str.maketrans({chr(65 + step): chr(97 + step) for step in range(26)})


@dataclass(frozen=True, slots=True)
class Statement:
    """A text without its last semicolon, and the names in it that stand before a `(`."""

    text: str
    called: frozenset[str]


def read(text: str, access: str) -> Statement:
    """The one statement that a text holds; ToolFailed when the access has none like it."""
    text = text.strip(" \t\n\r\f;")
    words: list[str] = []
    called = set()
    name = ""
    for kind, token, following in _tokens(text):
        if kind == "space":
            continue
        if token == "(" and name:  # noqa: S105 - a sign.
            called.add(name)
        name = _name(kind, token)
        if len(name.encode()) > IDENTIFIER_BYTES_MAX:
            raise ToolFailed(f"the name {name} is longer than {IDENTIFIER_BYTES_MAX} bytes")
        if kind == "word":
            _accept(name, following)
            words.append(name)
    _begin(words, access)
    return Statement(text, frozenset(called))


def _tokens(text: str) -> list[tuple[str, str, str]]:
    """Each token with its kind and the two characters behind it."""
    found = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or text.startswith(("--", "/*", ";"), position):
            raise ToolFailed(
                "query must be one statement without comments, dollar quotes and control "
                f"characters; it has {text[position : position + 2]!r} at {position + 1}"
            )
        position = match.end()
        found.append((str(match.lastgroup), match[0], text[position : position + 2]))
    return found


def _name(kind: str, token: str) -> str:
    if kind == "word":
        return token.translate(_LOWER)
    return token[1:-1].replace('""', '"') if kind == "quoted" else ""


def _accept(word: str, following: str) -> None:
    if following.startswith(("'", '"')) or (word == "u" and following in {"&'", '&"'}):
        raise ToolFailed(
            f"query has a text with the prefix {word}; write plain texts in single quotes"
        )
    if word == "treat":
        raise ToolFailed("query may not use TREAT, which calls functions by a type's name")


def _begin(words: list[str], access: str) -> None:
    first = words[0] if words else "nothing"
    known = _BEGINS[access]
    if first not in known or (access == "admin" and not _DEFINED & set(words[1:2])):
        listed = ", ".join(word.upper() for word in known)
        what = " of a table, view or index" if access == "admin" else ""
        raise ToolFailed(f"{access} allows {listed}{what}, and query begins with {first}")
