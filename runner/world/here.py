"""Programs, variables and files of this host. No value of a secret is ever kept or returned."""

import hashlib
import os
import stat
from typing import Final

from runner import credentials
from runner.contract import sealing
from runner.contract.observations import ABSENT, THERE
from runner.contract.settings import Settings
from runner.world.aspects import Aspect, Look

PROGRAM_BYTES_MAX: Final = 256 * 1024 * 1024
_PART: Final = 1024 * 1024


class Here:
    """Looks at this host; a program that was not touched is not read again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._digests: dict[str, tuple[tuple[int, ...], str]] = {}

    def found(self, aspect: Aspect) -> str:
        """What is there: a digest, that it is there, or why not."""
        if aspect.look is Look.PROGRAM:
            return self._program(aspect.target)
        if aspect.look is Look.VARIABLE:
            return self._variable(aspect.target)
        if aspect.look is Look.SEALING_KEY:
            there = aspect.target in sealing.key_ids(self._settings.home)
            return THERE if there else f"{ABSENT}: no sealing key of that id in the home"
        return self._file(aspect.target)

    def _variable(self, name: str) -> str:
        if name not in self._settings.secrets.env:
            return f"{ABSENT}: the setting secrets.env does not name it"
        there = credentials.on_host(f"env:{name}", self._settings)
        return THERE if there else f"{ABSENT}: it is not set in the runner's environment"

    def _file(self, name: str) -> str:
        there = credentials.on_host(f"file:{name}", self._settings)
        return THERE if there else f"{ABSENT}: no file of that name in the folder of secrets"

    def _program(self, path: str) -> str:
        try:
            with open(path, "rb", opener=_unwaiting) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return f"{ABSENT}: it is no file"
                if status.st_size > PROGRAM_BYTES_MAX:
                    return f"{ABSENT}: it is larger than {PROGRAM_BYTES_MAX >> 20} MiB"
                # Nobody sets the time of the last change of a file's status by hand.
                mark = (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
                known = self._digests.get(path)
                if known is None or known[0] != mark:
                    digest = hashlib.sha256()
                    while part := file.read(_PART):
                        digest.update(part)
                    known = (mark, f"sha256:{digest.hexdigest()}")
                    self._digests[path] = known
                return known[1]
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "no such path"
            return f"{ABSENT}: {said}"


def _unwaiting(path: str, flags: int) -> int:
    # Behind a named pipe we would wait for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
