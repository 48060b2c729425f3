"""An embedding by letters: a text has the same vector on every host, without a model. Pure.

    text ──> words in small letters ──> each word, and its runs of three letters ──> counted
        into 512 places, each with a sign ──> length 1

Texts are near when they share words, or parts of words: `invoices` finds `invoice`, and
`car` does not find `automobile`. Who needs meaning names an `embedding_model`. The places are
those of CRC-32, so that a change here is another model: count `MODEL` up.
"""

import re
import zlib
from collections import Counter
from math import sqrt
from typing import Final

from runner.contract.memory_entry import Space

MODEL: Final = "letters-1"
DIMENSIONS: Final = 512
SPACE: Final = Space(MODEL, DIMENSIONS)
_WORD: Final = re.compile(r"\w+")
_RUN: Final = 3
_WORD_WEIGHT: Final = 2.0  # A whole word says more than a part of one.


def vector(text: str) -> list[float]:
    """The vector of a text; all zeros for one without a word."""
    found = [0.0] * DIMENSIONS
    for part, count in _parts(text).items():
        place = zlib.crc32(part.encode("utf-8", "replace"))
        weight = sqrt(count) * (_WORD_WEIGHT if part.startswith("=") else 1.0)
        found[place % DIMENSIONS] += weight if place & 0x8000_0000 else -weight
    return found


def _parts(text: str) -> Counter[str]:
    parts: Counter[str] = Counter()
    for word in _WORD.findall(text.casefold()):
        parts[f"={word}"] += 1
        around = f"^{word}$"
        parts.update(around[at : at + _RUN] for at in range(len(around) - _RUN + 1))
    return parts
