"""A folder that no name leads out of, whatever others rename or link in it meanwhile.

Every step down is one `openat` from the folder before, and follows no symbolic link: what
was looked at is what is opened, so there is no moment between a check and its use.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Final

from runner.contract.errors import ToolFailed

DEPTH_MAX: Final = 32
ENTRIES_MAX: Final = 20_000

# Passing through asks for less than reading: a sandbox may show one folder and none above.
_PASS: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LINKS: Final = frozenset({errno.ELOOP, errno.ENOTDIR})

Parts = tuple[str, ...]


def parts(name: str) -> Parts:
    """The steps that a name stands for; ToolFailed when it would leave its folder."""
    plain = PurePosixPath(name)
    if plain.is_absolute() or ".." in plain.parts:
        raise ToolFailed(f"{name} leaves its folder")
    if len(plain.parts) > DEPTH_MAX:
        raise ToolFailed(f"{name} is more than {DEPTH_MAX} folders deep")
    return plain.parts


@contextmanager
def opened(root: Path, steps: Parts, *, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder below `root`, which is ours; `make` makes what is missing."""
    if make:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        start = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(error, "/".join(steps) or ".") from error
    try:
        with _below(start, steps, make=make) as descriptor:
            yield descriptor
    finally:
        os.close(start)


@contextmanager
def file(folder: int, steps: Parts, flags: int) -> Iterator[IO[bytes]]:
    """A regular file below a folder; nobody is waited for behind a named pipe."""
    name = "/".join(steps)
    with _below(folder, steps[:-1]) as parent:
        try:
            last = steps[-1] if steps else "."
            descriptor = os.open(last, flags | _FILE, 0o600, dir_fd=parent)
        except OSError as error:
            raise _refused(error, name) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ToolFailed(f"{name} is not a regular file")
        # A second name may stand outside of the folder, and what it names was never in it.
        if found.st_nlink > 1:
            raise ToolFailed(f"{name} is a hard link; copy the file instead")
        mode = "rb" if flags == os.O_RDONLY else "r+b"
        with os.fdopen(descriptor, mode, closefd=False) as opened_file:
            yield opened_file
    finally:
        os.close(descriptor)


def replaced(folder: int, steps: Parts, data: bytes) -> None:
    """Put `data` under a name below a folder: all of it, or what was there stays."""
    name = "/".join(steps)
    if not steps:
        raise ToolFailed("a file needs a name")
    with _below(folder, steps[:-1]) as parent:
        beside = f".{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
        try:
            _may_replace(parent, steps[-1], name)
            descriptor = os.open(beside, flags, 0o600, dir_fd=parent)
            try:
                with os.fdopen(descriptor, "wb") as new:
                    new.write(data)
                    new.flush()
                    os.fsync(new.fileno())
                os.rename(beside, steps[-1], src_dir_fd=parent, dst_dir_fd=parent)
            except OSError:
                os.unlink(beside, dir_fd=parent)
                raise
            os.fsync(parent)
        except OSError as error:
            raise _refused(error, name) from error


def files(folder: int) -> Iterator[Parts]:
    """The regular files below a folder, in order of their names; links are passed by."""
    waiting: list[Parts] = [()]
    left = ENTRIES_MAX
    while waiting and left > 0:
        steps = waiting.pop()
        # What was taken away meanwhile, or may not be read, holds nothing for us.
        with suppress(ToolFailed), _below(folder, steps) as here:
            with os.scandir(here) as listing:
                entries = sorted(islice(listing, left), key=lambda entry: entry.name)
            left -= len(entries)
            folders = []
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    if _has_one_name(entry):
                        yield (*steps, entry.name)
                elif entry.is_dir(follow_symlinks=False) and len(steps) + 1 < DEPTH_MAX:
                    folders.append((*steps, entry.name))
            waiting.extend(reversed(folders))


@contextmanager
def _below(folder: int, steps: Parts, *, make: bool = False) -> Iterator[int]:
    here = os.dup(folder)
    try:
        for step in (*steps, None):
            try:
                if make and step is not None:
                    with suppress(FileExistsError):
                        os.mkdir(step, 0o700, dir_fd=here)
                below = os.open(step or ".", _PASS if step else _READ, dir_fd=here)
            except OSError as error:
                raise _refused(error, "/".join(steps) or ".") from error
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def _has_one_name(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_nlink == 1
    except OSError:
        return False  # It was taken away meanwhile.


def _may_replace(parent: int, step: str, name: str) -> None:
    # For a clear answer only: a rename puts itself in the place of a link, not behind it.
    try:
        mode = os.stat(step, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise ToolFailed(f"{name} is not a regular file")


def _refused(error: OSError, name: str) -> ToolFailed:
    if error.errno in _LINKS:
        return ToolFailed(f"{name} is a symbolic link, or behind what is no folder")
    if error.errno == errno.ENOENT:
        return ToolFailed(f"{name} is not there")
    return ToolFailed(f"{name} cannot be opened: {error.strerror}")
