"""Times and lengths of time as people read them. Pure; times are microseconds, UTC."""

from datetime import UTC, datetime
from typing import Final

_SECOND: Final = 1_000_000
_STEPS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def moment(at_us: int | None) -> str:
    """`2026-11-23 03:00:00`, in UTC; `-` when it has not happened."""
    if at_us is None:
        return "-"
    return datetime.fromtimestamp(at_us // _SECOND, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(at_us: int) -> str:
    """`03:00:00.123`, in UTC."""
    at = datetime.fromtimestamp(at_us // _SECOND, tz=UTC)
    return at.strftime("%H:%M:%S.") + f"{at_us % _SECOND // 1_000:03d}"


def iso(at_us: int | None) -> str | None:
    """`2026-11-23T03:00:00.123456Z` for machines; None when it has not happened."""
    if at_us is None:
        return None
    at = datetime.fromtimestamp(at_us // _SECOND, tz=UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_us % _SECOND:06d}Z"


def length(us: int | None) -> str:
    """`850 us`, `12 ms`, `3.4 s`, `2 min 5 s`; `-` when unknown."""
    if us is None:
        return "-"
    if us < 1_000:
        return f"{us} us"
    if us < _SECOND:
        return f"{us // 1_000} ms"
    if us < 60 * _SECOND:
        return f"{us / _SECOND:.1f} s"
    return _coarse(us // _SECOND)


def ago(at_us: int | None, now_us: int) -> str:
    """`3 s ago`; `never` when it has not happened."""
    if at_us is None:
        return "never"
    passed = max(0, now_us - at_us) // _SECOND
    return "now" if passed == 0 else f"{_coarse(passed)} ago"


def _coarse(seconds: int) -> str:
    """The two largest units, which is all that people take in."""
    parts: list[str] = []
    for size, unit in _STEPS:
        count, seconds = divmod(seconds, size)
        if count or (parts and unit == "s"):
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0 "))
