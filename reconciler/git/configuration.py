"""The configuration that git gets for one address, in a file that only we can read.

A token or a password stands there and nowhere else: not among the arguments nor in the
environment, which others may see in the list of processes.
"""

import os
import tempfile
from pathlib import Path

from reconciler.git.address import Address


def text(address: Address, authorization: str | None, certificates: str | None) -> str:
    """The header and certificates for a remote, or the repositories here to trust."""
    if address.base:
        lines = []
        if authorization:
            # What is set for the address alone goes to no other host, even by a redirect.
            lines.append(f"\textraHeader = {_quoted(authorization)}\n")
        if certificates:
            lines.append(f"\tsslCAInfo = {_quoted(certificates)}\n")
        return f"[http {_quoted(address.base)}]\n{''.join(lines)}" if lines else ""
    if address.local is None:
        return ""
    # The person who wrote the URL vouches for the folder. `-c safe.directory` would not do:
    # git drops it before it starts the upload-pack that serves a repository on this machine.
    named = str(address.local).rstrip("/")
    folders = dict.fromkeys(
        f"{folder}{suffix}"
        for folder in (named, os.path.realpath(named))
        for suffix in ("", "/.git", ".git", ".git/.git")
    )
    return "[safe]\n" + "".join(f"\tdirectory = {_quoted(folder)}\n" for folder in folders)


def keep_private(file: Path, content: str) -> None:
    """Make a file that only we can read hold this text; no text, no file."""
    if not content:
        # A password that was taken out of the settings must not stay on the disk.
        file.unlink(missing_ok=True)
        return
    if file.is_file() and file.read_text(encoding="utf-8") == content:
        return
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".config-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
    Path(name).replace(file)


def _quoted(value: str) -> str:
    """A value as git's configuration quotes it; line breaks were refused before."""
    assert value.isprintable()
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
