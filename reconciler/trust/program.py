"""Where ssh-keygen and gpg are started: an environment from nothing, a limit on everything."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runner.contract import errors

Done = subprocess.CompletedProcess[bytes]

_SEARCH: Final = "/usr/local/bin:/usr/bin:/bin"
_TIMEOUT_S: Final = 10.0
_PACKAGES: Final = {"ssh-keygen": "openssh-client", "gpg": "gnupg"}


def run(
    name: str, arguments: Sequence[str], given: bytes = b"", home: Path | None = None
) -> Done:
    """
    What a program answered that was given these bytes.

    `home` is the only folder it knows as its own: no configuration and no keyring of the
    user is ever seen. SourceStalled if it is not installed, SourceWaiting if it hangs.
    """
    program = shutil.which(name, path=_SEARCH)
    if program is None:
        raise errors.SourceStalled(
            "SignatureToolMissing",
            f"{name} is not installed, so that a signature cannot be verified: install"
            f" {_PACKAGES[name]}, then orloj reconcile",
        )
    folder = str(home or os.devnull)
    environment = {"PATH": _SEARCH, "LC_ALL": "C", "HOME": folder, "GNUPGHOME": folder}
    try:
        return subprocess.run(  # noqa: S603 - a fixed program; nothing passes a shell.
            [program, *arguments],
            input=given,
            capture_output=True,
            env=environment,
            cwd=os.sep,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.SourceWaiting(
            "SignatureToolFailed",
            f"{name} did not answer within {_TIMEOUT_S:g} s, or could not be started: look at"
            " the load of this host; the next look tries again",
        ) from error
