"""As whom a program runs, and the programs of the host that start it.

The bound on processes counts those of one user, and does not bind root: a worker that runs
as root starts programs as `nobody`. Files of root stay usable to them, as far as their view
shows any, by one capability; it lets nobody change an owner, a mode or a mount.
"""

import functools
import os
from pathlib import Path
from typing import Final

from runner.contract.errors import ToolFailed

NOBODY: Final = 65_534


@functools.cache
def other_user() -> int | None:
    """Whom to become; None: the program runs as the worker's own user."""
    if os.getuid() != 0:
        return None
    ranges = _ranges("uid_map")
    known = any(first <= NOBODY < first + count for first, _, count in ranges)
    # Where a container knows one user only, its root is somebody else to the host: bound.
    return NOBODY if known else None


def _ranges(name: str) -> list[tuple[int, int, int]]:
    lines = Path("/proc/self", name).read_text(encoding="ascii").splitlines()
    return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in lines)]


def program_at(path: str, package: str) -> str:
    """The path of a program; ToolFailed says which package has it when it is not there."""
    if not os.access(path, os.X_OK):
        raise ToolFailed(f"{path} is missing (`apt install {package}`)")
    return path
