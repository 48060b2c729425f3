"""What changed inside a text, word by word, in bounded time. Pure.

    lines ──same at both ends──> the middle ──lines that match──> hunks ──words──> runs

A prompt is a text of many lines, and one of 250 KiB may be one line. What is the same at
both ends costs one look; only the middle is matched, lines first, and words inside of lines
that differ. What is left too large for its bound is shown as a whole: gone and come.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

LINES_MAX: Final = 2_000
WORDS_MAX: Final = 1_000
"""Matching words is cubic at worst: this many of both sides of a hunk, and no more."""
CELLS_MAX: Final = 400_000
"""Words of one side times words of the other, over all hunks of a text."""

# A run of white space; a sign of a script that is written without spaces; a word with the
# marks and joiners that belong to it; any other sign with what modifies it.
_WORD: Final = re.compile(
    r"\s+|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0002ffff]"
    r"|\w[\w\u0300-\u036f\u200c\u200d]*|[^\w\s][\u0300-\u036f\u200d\ufe0f\U0001f3fb-\U0001f3ff]*"
)
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_SPACE: Final = re.compile(r"\s")

Run = tuple[str, str]


def readable(text: str) -> bool:
    """Whether a text has words: an address or a digest is one word, and is another."""
    return bool(_SPACE.search(text) or _UNSPACED.search(text))


def words(before: str, after: str) -> tuple[Run, ...]:
    """Runs of text that stayed (`=`), went (`-`) and came (`+`), in order."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    head, tail = _ends(old, new)
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    runs: list[Run] = [("=", "".join(old[:head]))]
    if len(middle_old) + len(middle_new) > LINES_MAX:
        runs += [("-", "".join(middle_old)), ("+", "".join(middle_new))]
    else:
        runs += _hunks(middle_old, middle_new)
    runs.append(("=", "".join(old[len(old) - tail :])))
    return tuple(_joined(runs))


def remark(before: str, after: str) -> str:
    """What a reader would not see: that only white space or the coding differs; else empty."""
    if before == after:
        return ""
    if before.replace("\r\n", "\n") == after.replace("\r\n", "\n"):
        way = "CRLF → LF" if "\r\n" in before and "\r\n" not in after else "LF → CRLF"
        return f"only line ends differ: {way}"
    if before.split() == after.split() or "".join(before.split()) == "".join(after.split()):
        return "only white space differs"
    if unicodedata.normalize("NFC", before) == unicodedata.normalize("NFC", after):
        return "only the coding of characters differs (Unicode normal form)"
    return ""


def _ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How many items are the same at the beginning, and of the rest at the end."""
    most = min(len(old), len(new))
    head = 0
    while head < most and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return head, tail


def _hunks(old: list[str], new: list[str]) -> Iterator[Run]:
    cells = CELLS_MAX
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new).get_opcodes():
        removed, added = "".join(old[i1:i2]), "".join(new[j1:j2])
        if tag == "equal":
            yield "=", removed
            continue
        runs, used = _replaced(removed, added, cells)
        cells -= used
        yield from runs


def _replaced(removed: str, added: str, cells: int) -> tuple[list[Run], int]:
    """The runs of a hunk, and how much of the bound they took."""
    old, new = _WORD.findall(removed), _WORD.findall(added)
    head, tail = _ends(old, new)
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    runs: list[Run] = [("=", "".join(old[:head]))]
    used = len(middle_old) * len(middle_new)
    if len(middle_old) + len(middle_new) > WORDS_MAX or used > cells:
        runs += [("-", "".join(middle_old)), ("+", "".join(middle_new))]
        used = 0
    else:
        runs += _matched(middle_old, middle_new)
    return [*runs, ("=", "".join(old[len(old) - tail :]))], used


def _matched(old: list[str], new: list[str]) -> Iterator[Run]:
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "=", "".join(old[i1:i2])
        else:
            yield "-", "".join(old[i1:i2])
            yield "+", "".join(new[j1:j2])


def _joined(runs: Sequence[Run]) -> Iterator[Run]:
    sign, text = "=", ""
    for next_sign, next_text in runs:
        if next_sign == sign:
            text += next_text
        elif next_text:
            if text:
                yield sign, text
            sign, text = next_sign, next_text
    if text:
        yield sign, text
