"""The runner with a clock that can be made unreadable, in a process of its own.

`python -m runner.drill.clockless HOME` is `python -m runner HOME` but for the clock that its
writer is given: it raises while the file that `break_clock` makes is there.
"""

import sys
from pathlib import Path
from typing import Final

from runner import pool
from runner.contract import clock, settings

RUNNER: Final = (sys.executable, "-m", "runner.drill.clockless")
_BROKEN: Final = "clock-unreadable"


def break_clock(home: Path) -> None:
    """Let no time be read in this home from now on."""
    (home / _BROKEN).touch()


def main(home: Path) -> int:
    """Run the runner of a home with such a clock."""

    def now_us() -> int:
        if (home / _BROKEN).exists():
            raise OSError("the clock cannot be read")
        return clock.now_us()

    return pool.main(settings.load(home), now_us)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
