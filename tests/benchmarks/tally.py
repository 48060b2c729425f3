"""Where the no-op tasks of all systems leave their mark: a file of moments, one each.

Every worker process appends 16 bytes a task: when it was sent, if the benchmark said, and
when its function ran. An append of so few bytes is whole, so processes and threads need no
lock; it costs about a microsecond, the same for every system.
"""

import os
import struct
import time
from pathlib import Path

MARK = struct.Struct("=qq")


class Tally:
    """A file of marks; moments are nanoseconds of the monotonic clock, the same everywhere."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)

    def note(self, sent_ns: int = 0) -> None:
        """One task has begun, which was sent then; 0 when that does not matter."""
        os.write(self._file, MARK.pack(sent_ns, time.monotonic_ns()))

    def count(self) -> int:
        """How many tasks have begun."""
        return os.fstat(self._file).st_size // MARK.size

    def marks(self, first: int = 0) -> list[tuple[int, int]]:
        """When each task was sent and when it began, in the order of their beginning."""
        raw = os.pread(self._file, (self.count() - first) * MARK.size, first * MARK.size)
        return [MARK.unpack_from(raw, at) for at in range(0, len(raw), MARK.size)]

    def wait(self, count: int, timeout_s: float, pause_s: float = 0.002) -> None:
        """Return when so many tasks have begun; TimeoutError says how many did."""
        deadline = time.monotonic() + timeout_s
        while self.count() < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count()} of {count} tasks began in {timeout_s} s")
            time.sleep(pause_s)
