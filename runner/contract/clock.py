"""The only reader of the time, of the boot and of fresh randomness for names.

Everything that decides takes `now` as an argument; this module is where a shell gets it.
Wall times are UTC integers in microseconds. Leases on one host are measured on the boot
clock, which no clock change moves, and are void when the boot id differs.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

Now = Callable[[], int]
"""A way to read the wall time in microseconds, for what is given its clock."""
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def now_us() -> int:
    """The wall time in microseconds since 1970, UTC."""
    return time.time_ns() // 1_000  # noqa: TID251


def boot_us() -> int:
    """Microseconds since this machine started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


def boot_id() -> str:
    """The identity of this start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def new_id() -> str:
    """A ULID in lower case: 48 bits of milliseconds, then 80 random bits, 26 characters.

    Ids sort by the time they were made. Source: github.com/ulid/spec.
    """
    milliseconds = time.time_ns() // 1_000_000  # noqa: TID251
    return _ulid(milliseconds << 80 | int.from_bytes(os.urandom(10)))


def first_id(at_us: int) -> str:
    """An id that sorts before every one that is made from then on."""
    return _ulid((at_us // 1_000) << 80)


def _ulid(number: int) -> str:
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def iso(at_us: int) -> str:
    """The wall time as people read it: `2026-11-23T03:00:00.123456Z`."""
    moment = datetime.fromtimestamp(at_us / 1_000_000, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_us % 1_000_000:06d}Z"


def compact(at_us: int) -> str:
    """The wall time as part of a file's name, in whole seconds: `20261123T030000Z`."""
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y%m%dT%H%M%SZ")


def day(at_us: int) -> date:
    """The day of a wall time, UTC."""
    return datetime.fromtimestamp(at_us / 1_000_000, tz=UTC).date()
