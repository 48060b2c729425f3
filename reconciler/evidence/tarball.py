"""A folder as a tar that is the same bytes whenever its files are, and the list of its hashes.

Members stand in the order of their paths, belong to nobody, and have one time.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

MANIFEST: Final = "MANIFEST.sha256"
_MODE: Final = 0o644


def list_hashes(folder: Path) -> None:
    """Write what `sha256sum -c` reads: the hash of every file, in the order of the paths."""
    lines = [f"{_digest(folder / path)}  {path}\n" for path in paths(folder)]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")


def paths(folder: Path) -> Iterator[str]:
    """The paths of all files in a folder, relative to it, in order of their bytes."""
    found = (file for file in folder.rglob("*") if file.is_file())
    yield from sorted((file.relative_to(folder).as_posix() for file in found), key=str.encode)


def pack(folder: Path, target: BinaryIO, at_s: int) -> str:
    """Write the folder with all its files as a tar; the SHA-256 of it, in hex."""
    hashed = _Hashed(target)
    with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in paths(folder):
            file = folder / path
            member = tarfile.TarInfo(f"{folder.name}/{path}")
            member.size, member.mode, member.mtime = file.stat().st_size, _MODE, at_s
            with file.open("rb") as content:
                tar.addfile(member, content)
    return hashed.digest.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class _Hashed(io.BufferedIOBase):
    """A file that is written once, from its beginning, and hashed on the way."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.digest = hashlib.sha256()

    def write(self, content: Any, /) -> int:
        """Write all of it."""
        self.digest.update(content)
        return self._target.write(content)
