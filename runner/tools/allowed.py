"""Which program of this host a name means: one that the setting tools.commands allows."""

import os
import stat
from pathlib import Path

from runner.contract.errors import ToolCode, ToolFailed


def path(name: str, commands: tuple[str, ...]) -> str:
    """The program's path as the settings allow it; ToolFailed.

    A bare name, as manifests of the public dialect have it, means the one allowed program
    of that name: the host says which, and no search path.
    """
    known = [one for one in commands if name in (one, Path(one).name)]
    if len(known) != 1:
        reason = (
            f"{name} may mean {' or '.join(known)}; write the whole path"
            if known
            else f"{name} may not be started on this host; the setting tools.commands names the"
            " programs that may"
        )
        raise ToolFailed(reason, code=ToolCode.RUNTIME_POLICY_INVALID)
    check(known[0])
    return known[0]


def check(path: str) -> None:
    """ToolFailed when there is no program at the path."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ToolFailed(
            f"{path} cannot be started: {error.strerror}", code=ToolCode.RUNTIME_POLICY_INVALID
        ) from error
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        raise ToolFailed(
            f"{path} cannot be started: it is no program of ours to run",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        )
