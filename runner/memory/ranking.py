"""Which entries are nearest to a query. Pure, and the same on every host.

Vectors have the length 1, so that their product is the cosine. Every entry is looked at: a
memory is bounded, and what is exact needs no index that can be wrong.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from math import isfinite, sqrt
from operator import mul
from typing import Final

from runner.contract.errors import Refused
from runner.contract.memory_entry import Entry
from runner.memory import Hit, Query

_WORD: Final = re.compile(r"\w+")


def packed(numbers: Sequence[float]) -> bytes:
    """A vector of the length 1 as it is kept; Refused for what has no direction."""
    length = sqrt(sum(number * number for number in numbers))
    if not isfinite(length):
        raise Refused("the embedding holds a number that is none")
    return array("f", [number / length if length else 0.0 for number in numbers]).tobytes()


def numbers(vector: bytes) -> "array[float]":
    """A kept vector, read again."""
    found = array("f")
    found.frombytes(vector)
    return found


def nearest(entries: Iterable[Entry], query: Query) -> list[Hit]:
    """The entries nearest to a query, best first, then by key; none that have nothing of it."""
    score = _by_words(query.text) if query.vector is None else _by_vector(query.vector)
    hits = (Hit(one.key, one.value, round(score(one), 6)) for one in entries)
    found = (hit for hit in hits if hit.score > 0)
    return nsmallest(query.top_k, found, key=lambda hit: (-hit.score, hit.key))


def words(text: str) -> set[str]:
    """The words of a text, whatever their case."""
    return set(_WORD.findall(text.casefold()))


def _by_vector(vector: bytes) -> Callable[[Entry], float]:
    """How near an entry's vector is to this one."""
    wanted = numbers(vector)

    def score(entry: Entry) -> float:
        if entry.vector is None or len(entry.vector) != len(vector):
            return 0.0
        return float(sum(map(mul, wanted, numbers(entry.vector))))

    return score


def _by_words(text: str) -> Callable[[Entry], float]:
    """Which share of a query's words stands in an entry."""
    wanted = words(text)

    def score(entry: Entry) -> float:
        found = wanted & words(f"{entry.key} {entry.value}")
        return len(found) / len(wanted) if wanted else 0.0

    return score
