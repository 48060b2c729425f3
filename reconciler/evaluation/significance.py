"""How much to make of a difference between two runs. Pure.

A rate of 9 out of 10 may be luck: the interval says between what the true rate lies with 95 %
confidence, and the p-value how often luck alone would tell two equal runs so far apart.
"""

import math
from typing import Final

Z_95: Final = 1.959963984540054


def wilson(passed: int, of: int) -> tuple[float, float]:
    """
    The 95 % interval of a rate; all of [0, 1] when nothing was counted.

    Source: E. B. Wilson (1927), the score interval, which stays within [0, 1] and is not
    empty at 0 and at 1.
    """
    assert 0 <= passed <= of
    if not of:
        return 0.0, 1.0
    rate, spread = passed / of, Z_95**2 / of
    middle = (rate + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(rate * (1 - rate) / of + spread / (4 * of))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return (0.0 if not passed else low), (1.0 if passed == of else high)


def sign_test(better: int, worse: int) -> float:
    """
    The two-sided p-value of the exact sign test, which for pairs of pass and fail is
    McNemar's exact test: those that stayed the same say nothing.
    """
    of = better + worse
    if not of:
        return 1.0
    tail = sum(math.comb(of, k) for k in range(min(better, worse) + 1))
    return float(min(1.0, 2 * tail / 2**of))
