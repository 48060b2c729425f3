"""Versions and ranges of versions, by the rules of SemVer 2.0. Pure.

    1.2.3  v1.2.3  1.2.3-rc.1+build     versions, and tags that are one
    >=1.2, <2     all of several bounds, with commas or spaces between
    ^1.2          from 1.2.0 up to the next number that may break: <2.0.0
    ~1.2          from 1.2.0 up to the next minor number: <1.3.0
    1.x  1.2.*  1 every version that begins so
    =  !=  >  <=  the number itself, all but it, above it, up to it

A part that is left out stands for all its values: `>1.2` begins at 1.3.0, `<=1.2` ends before
it. Pre-releases take part only in a range that names one, and even then `<2` does not let
2.0.0-rc.1 in.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

TEXT_MAX: Final = 256
_NUMBER: Final = r"(?:0|[1-9]\d{0,17})"
_WORD: Final = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_TAIL: Final = rf"(?:-(?P<pre>{_WORD}(?:\.{_WORD})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_VERSION: Final = re.compile(
    rf"v?(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER}){_TAIL}", re.ASCII
)
_PART: Final = rf"(?:{_NUMBER}|[xX*])"
_BOUND: Final = re.compile(
    rf"(?P<sign>>=|<=|!=|=|>|<|\^|~)?\s*v?(?P<major>{_PART})"
    rf"(?:\.(?P<minor>{_PART})(?:\.(?P<patch>{_PART}){_TAIL})?)?",
    re.ASCII,
)
_BETWEEN: Final = re.compile(r"\s*,\s*|(?<=[\w*])\s+")
_FORMS: Final = "write for example >=1.2, <2 or ^1.2 or ~1.2 or 1.x"

Order = tuple[int, int, int, int, tuple[tuple[int, str], ...]]
"""What versions are compared by: three numbers, whether it is a release, its words."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version without its build, which does not count."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    @property
    def order(self) -> Order:
        """What it is compared by: a number is less than a word, a pre-release than none."""
        words = tuple(
            # Numbers of any length, without zeros in front, are in order when they are aligned.
            (0, word.rjust(TEXT_MAX)) if word.isdecimal() else (1, word)
            for word in self.pre
        )
        return (self.major, self.minor, self.patch, 0 if self.pre else 1, words)


@dataclass(frozen=True, slots=True)
class Interval:
    """The versions from `low` to `high`, which is not in it; None: no end on that side."""

    low: Order | None
    high: Order | None
    outside: bool = False

    def holds(self, order: Order) -> bool:
        """Whether a version is in it; where it is an `outside`, whether it is not."""
        inside = (self.low is None or order >= self.low) and (
            self.high is None or order < self.high
        )
        return inside != self.outside


class Range:
    """A range of versions. ValueError says what is wrong with its text."""

    def __init__(self, text: str) -> None:
        parts = [part for part in _BETWEEN.split(text.strip()) if part]
        if not parts or len(text) > TEXT_MAX:
            raise ValueError(f"it is empty or too long; {_FORMS}")
        bounds = [_bound(part) for part in parts]
        self._intervals = tuple(interval for interval, _ in bounds)
        self._pre = any(names_pre for _, names_pre in bounds)

    def holds(self, version: Version) -> bool:
        """Whether a version is in the range."""
        if version.pre and not self._pre:
            return False
        return all(interval.holds(version.order) for interval in self._intervals)


@dataclass(frozen=True)
class Tag:
    """A tag that is a version."""

    name: str
    version: Version

    @cached_property
    def order(self) -> tuple[Order, str]:
        """What the newest is chosen by; of equal versions the name that sorts last."""
        return self.version.order, self.name


def version(text: str) -> Version | None:
    """The version that a text is, with or without `v` before it; None when it is none."""
    match = _VERSION.fullmatch(text) if len(text) <= TEXT_MAX else None
    if match is None:
        return None
    major, minor, patch = (int(match[name]) for name in ("major", "minor", "patch"))
    pre = tuple(match["pre"].split(".")) if match["pre"] else ()
    return Version(major, minor, patch, pre)


def tags(names: Iterable[str]) -> list[Tag]:
    """Those names that are versions, the newest first."""
    found = [Tag(name, known) for name in names if (known := version(name)) is not None]
    return sorted(found, key=lambda tag: tag.order, reverse=True)


def _bound(text: str) -> tuple[Interval, bool]:
    """What one bound allows, and whether it names a pre-release."""
    match = _BOUND.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no bound; {_FORMS}")
    given = [_number(match[name]) for name in ("major", "minor", "patch")]
    known = given[: given.index(None)] if None in given else given
    if any(number is not None for number in given[len(known) :]):
        raise ValueError(f"{text[:40]!r} has a number behind a part left open; {_FORMS}")
    numbers = [number for number in known if number is not None]
    pre = tuple(match["pre"].split(".")) if match["pre"] else ()
    if pre and len(numbers) < 3:
        raise ValueError(f"{text[:40]!r} has a pre-release behind a part left open; {_FORMS}")
    return _interval(match["sign"] or "=", numbers, pre), bool(pre)


def _number(text: str | None) -> int | None:
    return None if text is None or text in "xX*" else int(text)


def _interval(sign: str, numbers: list[int], pre: tuple[str, ...]) -> Interval:
    if not numbers:
        if sign in ("<", ">", "!="):
            raise ValueError(f"{sign} * lets no version in; {_FORMS}")
        return Interval(None, None)
    first = Version(*_filled(numbers), pre).order
    above = _behind(first) if len(numbers) == 3 else _before(_next(numbers))
    floor = first if pre else _before(numbers)
    return {
        "=": Interval(first, above),
        "!=": Interval(floor, above, outside=True),
        ">=": Interval(first, None),
        ">": Interval(above if len(numbers) == 3 else Version(*_next(numbers)).order, None),
        "<": Interval(None, floor),
        "<=": Interval(None, above),
        "^": Interval(first, _before(_next(numbers[: _breaking(numbers)]))),
        "~": Interval(first, _before(_next(numbers[:2]))),
    }[sign]


def _filled(numbers: list[int]) -> tuple[int, int, int]:
    major, minor, patch = (*numbers, 0, 0)[:3]
    return major, minor, patch


def _next(numbers: list[int]) -> tuple[int, int, int]:
    """The first version behind all that begin with these numbers."""
    return _filled([*numbers[:-1], numbers[-1] + 1])


def _behind(order: Order) -> Order:
    """The least that is more than a version."""
    return (*order[:4], (*order[4], (-1, "")))


def _before(numbers: Iterable[int]) -> Order:
    """What is less than every version of these numbers, its pre-releases too."""
    major, minor, patch = _filled(list(numbers))
    return major, minor, patch, 0, ()


def _breaking(numbers: list[int]) -> int:
    """How many numbers may not change: up to the first one that is not 0."""
    return next((at for at, number in enumerate(numbers, 1) if number), len(numbers))
