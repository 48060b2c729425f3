"""What opens a remote: a token for https, a key for ssh, and whom we take the server to be.

Files are named by the settings and read anew for each call to the remote, so that a token
that was rotated counts at once. A token never leaves here but as a header for a file that
only we can read. A file that is missing, empty or open to others is one clear error.
"""

import base64
import os
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git.address import Address
from runner.contract import errors
from runner.contract.source_settings import Source

TOKEN_BYTES_MAX: Final = 8_192
_PATH: Final = re.compile(r"/[A-Za-z0-9._/@+=,-]{1,1000}")
"""No space, quote or %: ssh reads its options with a shell's and its own eyes."""
_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP
_ALL_BUT_US: Final = stat.S_IRWXO | stat.S_IRWXG
_SSH: Final = (
    "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes"
    " -o IdentitiesOnly=yes -o ClearAllForwardings=yes -o UpdateHostKeys=no"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of one repository, by their paths; empty where there is none."""

    username: str = "git"
    token_file: str = ""
    ca_file: str = ""
    ssh_key_file: str = ""
    known_hosts_file: str = ""

    @property
    def any(self) -> bool:
        """Whether any file is named."""
        return bool(
            self.token_file or self.ca_file or self.ssh_key_file or self.known_hosts_file
        )


def of(source: Source) -> Credentials:
    """What the settings name."""
    return Credentials(
        username=source.username,
        token_file=source.token_file,
        ca_file=source.ca_file,
        ssh_key_file=source.ssh_key_file,
        known_hosts_file=source.known_hosts_file,
    )


def authorization(credentials: Credentials, address: Address) -> str | None:
    """The header that the remote gets; SourceStalled says what is wrong with the token."""
    if not credentials.token_file:
        return address.authorization
    if address.base is None:
        raise _unusable("token_file", "is for https:// only; take it out, or change source.url")
    if address.authorization:
        raise _unusable("token_file", "is set, and source.url names a user: take that out")
    if not credentials.username or not re.fullmatch(r"[!-9;-~]{1,256}", credentials.username):
        raise _unusable("username", "must be letters, digits and signs without a colon")
    token = _token(credentials.token_file)
    pair = base64.b64encode(f"{credentials.username}:{token}".encode()).decode()
    return f"Authorization: Basic {pair}"


def certificates(credentials: Credentials, address: Address) -> str | None:
    """The file of certificates for https; SourceStalled if it cannot be used."""
    if not credentials.ca_file:
        return None
    if address.base is None:
        raise _unusable("ca_file", "is for https:// only; take it out, or change source.url")
    return str(_file("ca_file", credentials.ca_file))


def ssh_command(credentials: Credentials, address: Address | None = None) -> str:
    """How git starts ssh; with an address its files are examined, SourceStalled."""
    parts = [_SSH]
    for name in ("ssh_key_file", "known_hosts_file"):
        value = getattr(credentials, name)
        if value and address is not None and not address.url.startswith("ssh://"):
            raise _unusable(name, "is for ssh:// only; take it out, or change source.url")
    if credentials.ssh_key_file:
        key = _file("ssh_key_file", credentials.ssh_key_file, closed_to=_ALL_BUT_US)
        parts.append(f"-i {shlex.quote(str(key))}")
    if credentials.known_hosts_file:
        advice = "; make it with ssh-keyscan HOST, and compare the fingerprint with its owner's"
        hosts = _file("known_hosts_file", credentials.known_hosts_file, advice=advice)
        parts.append(f"-o UserKnownHostsFile={shlex.quote(str(hosts))}")
        parts.append("-o GlobalKnownHostsFile=/dev/null")
    return " ".join(parts)


def _token(path: str) -> str:
    file = _file("token_file", path, closed_to=_OTHERS)
    try:
        with file.open("rb") as stream:
            raw = stream.read(TOKEN_BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable("token_file", path, error) from error
    text = raw.strip()
    if not text:
        raise _unusable("token_file", f"{path} is empty: write the token into it")
    if len(raw) > TOKEN_BYTES_MAX or not re.fullmatch(rb"[!-~]+", text):
        raise _unusable("token_file", f"{path} must hold one line, the token and nothing else")
    return text.decode("ascii")


def _file(setting: str, path: str, *, closed_to: int = 0, advice: str = "") -> Path:
    """A file that can be read and is closed to whom it must be."""
    if not _PATH.fullmatch(path):
        raise _unusable(
            setting, "must be an absolute path of letters, digits and . _ - / @ + = ,"
        )
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise _unreadable(setting, path, error, advice) from error
    if not stat.S_ISREG(mode) or not os.access(file, os.R_OK):
        raise _unusable(setting, f"{path} is not a file that this user may read{advice}")
    if mode & closed_to:
        raise _unusable(setting, f"{path} is open to other users: chmod 600 {path}")
    return file


def _unreadable(
    setting: str, path: str, error: OSError, advice: str = ""
) -> errors.SourceStalled:
    return _unusable(setting, f"{path} cannot be read ({error.strerror}){advice}")


def _unusable(setting: str, why: str) -> errors.SourceStalled:
    return errors.SourceStalled("CredentialsUnusable", f"source.{setting} {why}")
