"""Numbers and times as a reader wants them. Pure."""

from typing import Final

from runner.contract import clock

_SECOND_US: Final = 1_000_000
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
SHORT: Final = 12
NAMELESS: Final = "a tool that no manifest names"
"""What a model made up is no name, and stands beside the log only."""
BESIDE: Final = "kept beside the log"


def count(value: int) -> str:
    """A number with its thousands apart."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """A part in percent; without a whole there is none."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def lasted(value_us: int | None) -> str:
    """A length of time in its two largest units."""
    if value_us is None:
        return "-"
    seconds = value_us / _SECOND_US
    for size, name in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s"


def moment(time_us: int) -> str:
    """A moment to the second, in UTC."""
    return clock.iso(time_us).replace("T", " ")[:19]


def short(commit: str) -> str:
    """The beginning of a hash, by which git finds it."""
    return commit[:SHORT] if len(commit) in (40, 64) else commit


def plural(value: int, one: str, many: str = "") -> str:
    """`1 call`, `2 calls`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"
