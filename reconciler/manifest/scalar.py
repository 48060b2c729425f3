"""What a plain YAML scalar stands for, by YAML 1.2's core schema. Pure.

One difference: a number with leading zeros is text. `012` is an identifier somebody wrote,
and neither 10 (YAML 1.1) nor 12 (YAML 1.2) is what they meant.
"""

import math
import re
from typing import Final

Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_REAL = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"
    r"|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"
)
_NUMBER_STARTS: Final = frozenset("0123456789+-.")
_CHARACTERS_MAX: Final = 25  # More than any 64-bit number has; int() of a long text is slow.
_INTEGER_MAX: Final = 2**63 - 1


def plain(text: str) -> Scalar:
    """The value of a scalar without quotes; ValueError for a number JSON cannot carry."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.match(text):
        value = int(text, 0) if len(text) <= _CHARACTERS_MAX else _INTEGER_MAX + 1
        if abs(value) > _INTEGER_MAX:
            raise ValueError("a whole number must fit in 64 bits")
        return value
    if _REAL.match(text):
        real = math.inf if text[-1] in "fFnN" else float(text)
        if not math.isfinite(real):
            raise ValueError("infinity and not-a-number are not used here")
        return real
    return text
