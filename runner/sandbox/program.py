"""Which paths a program needs to be able to start: itself, what it is a link to, its libraries.

What lies in /usr every sandbox shows. Elsewhere it is the program's folder; beside a folder
`bin` also the libraries of the same installation. A folder in which somebody lives, or which
holds what tools may not see, is never shown: of it, only the program itself.
"""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runner.sandbox.confinement import SYSTEM

_LINKS_MAX: Final = 16
_BESIDE_BIN: Final = ("lib", "lib64", "libexec", "pyvenv.cfg")
_FIRST_LINE_MAX: Final = 256


def needed_by(program: Path, hidden: Path) -> tuple[Path, ...]:
    """The paths to show; nothing that leads to `hidden` is among them."""
    found: dict[Path, None] = {}
    for path in (program, *_interpreters(program)):
        for link in _chain(path):
            found |= dict.fromkeys(_around(link, hidden))
    return tuple(path for path in found if not _in_system(path))


def _chain(path: Path) -> Iterator[Path]:
    """A path and what it is a link to, step by step."""
    for _ in range(_LINKS_MAX):
        yield path
        if not path.is_symlink():
            return
        path = Path(os.path.normpath(path.parent / os.readlink(path)))


def _around(program: Path, hidden: Path) -> Iterator[Path]:
    folder = program.parent
    if not _may_be_shown(folder, hidden):
        if program.exists():
            yield program
        return
    yield folder
    if folder.name in {"bin", "sbin"}:
        for name in _BESIDE_BIN:
            beside = folder.parent / name
            if beside.is_file() or _may_be_shown(beside, hidden):
                yield beside


def _may_be_shown(folder: Path, hidden: Path) -> bool:
    real, kept = folder.resolve(), hidden.resolve()
    homes = {Path(user.pw_dir).resolve() for user in pwd.getpwall()}
    inhabited = any(home == real or real in home.parents for home in homes if home.parts[1:])
    return folder.is_dir() and not inhabited and real != kept and real not in kept.parents


def _interpreters(program: Path) -> Iterator[Path]:
    """What a script names in its first line."""
    with program.open("rb") as file:
        first = file.readline(_FIRST_LINE_MAX)
    if first.startswith(b"#!") and (words := first[2:].split()):
        yield Path(os.fsdecode(words[0]))


def _in_system(path: Path) -> bool:
    return any(path == folder or folder in path.parents for folder in SYSTEM)
