"""Which paths are no manifests, by patterns as in a `.gitignore`. Pure.

The patterns stand in the settings, as if they were the lines of a `.gitignore` in the folder
that is followed. They mean what git means, down to classes such as `[[:alpha:]]`, for which
git itself is the oracle in the tests; but a pattern that git would quietly never match, or
that its versions read in two ways, is refused, and letters are never folded.

    pattern ──> tokens ──> segments between slashes ──> one expression over bytes

The paths come from strangers: between two stars nothing is ever tried again, so that no
name makes the match slow.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

PATTERNS_MAX: Final = 500
PATTERN_BYTES_MAX: Final = 256
_FOLDERS_KEPT: Final = 20_000
_SLASH, _STAR, _ANY = "/", "*", "?"
_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True, slots=True)
class _Token:
    """A slash, a star (`count` in a row), any byte, or one byte that `expression` matches."""

    kind: str
    expression: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line: whether it hides or shows again, folders only, and by which part of a path."""

    expression: re.Pattern[bytes]
    shows: bool
    folders_only: bool
    by_name: bool


class Ignore:
    """The patterns of one repository. ValueError says which one is wrong, and how."""

    def __init__(self, patterns: Iterable[str]) -> None:
        listed = list(patterns)
        if len(listed) > PATTERNS_MAX:
            raise ValueError(f"there are more than {PATTERNS_MAX} patterns")
        found = (_pattern(text) for text in listed)
        self._patterns = tuple(reversed([item for item in found if item is not None]))
        self._folders: dict[bytes, bool] = {b"": False}

    def hides(self, path: bytes) -> bool:
        """Whether a file is no manifest; `path` begins in the folder that is followed."""
        if not self._patterns:
            return False
        return self._hidden_folder(path.rpartition(b"/")[0]) or self._hidden(path, False)

    def _hidden_folder(self, folder: bytes) -> bool:
        """What is in a hidden folder stays hidden, whatever a later pattern says."""
        known = self._folders.get(folder)
        if known is not None:
            return known
        if len(self._folders) > _FOLDERS_KEPT:
            self._folders = {b"": False}
        parts = folder.split(b"/")
        hidden = any(
            self._hidden(b"/".join(parts[:count]), True) for count in range(1, len(parts) + 1)
        )
        self._folders[folder] = hidden
        return hidden

    def _hidden(self, path: bytes, is_folder: bool) -> bool:
        name = path.rpartition(b"/")[2]
        for pattern in self._patterns:  # The last line that matches decides.
            if pattern.folders_only and not is_folder:
                continue
            if pattern.expression.fullmatch(name if pattern.by_name else path):
                return not pattern.shows
        return False


def _pattern(text: str) -> _Pattern | None:
    """The pattern of a line; None for a comment and for nothing."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > PATTERN_BYTES_MAX or b"\0" in raw or b"\n" in raw:
        raise ValueError(f"{text[:40]!r} is longer than {PATTERN_BYTES_MAX} bytes or two lines")
    while raw.endswith(b" ") and not raw.endswith(b"\\ "):
        raw = raw[:-1]
    if not raw or raw.startswith(b"#"):
        return None
    shows = raw.startswith(b"!")
    rest = raw[1:] if shows else raw
    folders_only = rest.endswith(b"/")
    rest = rest[:-1] if folders_only else rest
    by_name = b"/" not in rest
    try:
        segments = _segments(_tokens(rest.removeprefix(b"/").decode("latin-1")))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    expression = "".join(_joined(segments, anywhere=by_name))
    return _Pattern(
        re.compile(expression.encode("latin-1"), re.DOTALL), shows, folders_only, by_name
    )


def _tokens(text: str) -> list[_Token]:
    """The tokens of a pattern whose bytes are the letters of `text`."""
    found: list[_Token] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "[":
            expression, at = _set(text, at + 1)
            found.append(_Token("byte", expression))
            continue
        if letter == "\\":
            at += 1
            if at == len(text):
                raise ValueError("it ends with a backslash, so it would never match")
            if text[at] == _SLASH:
                raise ValueError("a slash needs no backslash")
            found.append(_literal(text[at]))
        elif letter == "*":
            count = len(text) - at - len(text[at:].lstrip("*"))
            found.append(_Token(_STAR, count=count))
            at += count - 1
        elif letter in (_SLASH, _ANY):
            found.append(_Token(letter, "[^/]"))
        else:
            found.append(_literal(letter))
        at += 1
    return found


def _literal(letter: str) -> _Token:
    return _Token("byte", re.escape(letter))


def _set(text: str, at: int) -> tuple[str, int]:
    """The expression of a set such as `[!a-z]`, and where the text goes on behind it."""
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    parts: list[str] = []
    before, first = "", True  # `before`: the letter that a range may begin with.
    while first or text[at : at + 1] != "]":
        first = False
        letter = text[at : at + 1]
        ranged = letter == "-" and before and text[at + 1 : at + 2] not in ("", "]")
        if ranged:
            last, at = _letter(text, at + 1)
            if before <= last:
                parts.append(f"{_byte(before)}-{_byte(last)}")
            before = ""
        elif text.startswith("[:", at) and (name := _class(text, at)) is not None:
            parts.append(_CLASSES[name])
            at += len(name) + 4
            before = ""
        else:
            before, at = _letter(text, at)
            parts.append(_byte(before))
    inside = "".join(parts)
    # No set holds a slash, not even one that names it.
    if negated:
        return f"[^/{inside}]", at + 1
    return (f"(?!/)[{inside}]" if inside else "(?!)"), at + 1


def _letter(text: str, at: int) -> tuple[str, int]:
    """One letter of a set, which a backslash may stand before; and where it goes on."""
    at += text[at : at + 1] == "\\"
    if at >= len(text):
        raise ValueError("a [ is not closed, so it would never match; write \\[ for the letter")
    return text[at], at + 1


def _class(text: str, at: int) -> str | None:
    """The name in `[:name:]`; None where that only looks like one."""
    end = text.find("]", at + 2)
    if end < 0 or text[end - 1] != ":" or end - 1 < at + 2:
        return None
    name = text[at + 2 : end - 1]
    if name not in _CLASSES:
        raise ValueError(f"[:{name}:] is no class of letters; there are {', '.join(_CLASSES)}")
    return name


def _byte(letter: str) -> str:
    return f"\\x{ord(letter):02x}"


def _segments(tokens: Iterable[_Token]) -> list[list[_Token]]:
    """The tokens between the slashes."""
    found: list[list[_Token]] = [[]]
    for token in tokens:
        if token.kind == _SLASH:
            found.append([])
        else:
            found[-1].append(token)
    for segment in found:
        if len(segment) > 1 and any(token.count > 1 for token in segment):
            # Here versions of git differ: some cross folders, some do not.
            raise ValueError(
                "** has to stand alone between slashes; write * for a part of a name"
            )
    return found


def _joined(segments: Sequence[Sequence[_Token]], *, anywhere: bool) -> Iterable[str]:
    last = len(segments) - 1
    for at, segment in enumerate(segments):
        deep = len(segment) == 1 and segment[0].kind == _STAR and segment[0].count > 1
        if deep and not anywhere:
            yield ".+" if at == last else "(?:[^/]+/)*"
            continue
        yield _segment(segment) + ("" if at == last else "/")


def _segment(tokens: Sequence[_Token]) -> str:
    """What matches one name. What follows a star is looked for once, where it comes first."""
    chunks = [""]
    for token in tokens:
        if token.kind == _STAR:
            chunks.append("")
        else:
            chunks[-1] += token.expression
    first, *rest = chunks
    if not rest:
        return first
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in rest[:-1])
    return f"{first}{middle}[^/]*{rest[-1]}"
