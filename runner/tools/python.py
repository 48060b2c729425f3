"""Tools of type `python`: functions that ship with the runner, and no others.

A file function works inside one folder: that of the tool's `config`, inside the files
folder of the home. It follows no symbolic link and never leaves it.
"""

import asyncio
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Call

MATCHES_MAX: Final = 200
FILES_MAX: Final = 2_000
FILE_BYTES_MAX: Final = 1_048_576
PATTERN_MAX: Final = 200


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> str:
    """What the function answered; ToolFailed."""
    function = FUNCTIONS.get(tool.function or "")
    if function is None:
        raise ToolFailed(
            f"there is no function {tool.function}; there are {', '.join(sorted(FUNCTIONS))}"
        )
    return await asyncio.to_thread(function, arguments, tool.config, call.bounds.files)


def search_files(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """Lines that contain any of the words of `pattern` (`a|b`): `[{file, line, text}]`."""
    words = [word.strip().lower() for word in _text(arguments, "pattern").split("|")]
    words = [word for word in words if word]
    folder = _folder(config, files)
    matches: list[dict[str, Any]] = []
    for path in _files(folder):
        for number, line in enumerate(_read(path).splitlines(), 1):
            if any(word in line.lower() for word in words):
                name = str(path.relative_to(folder))
                matches.append({"file": name, "line": number, "text": line.strip()[:300]})
                if len(matches) >= MATCHES_MAX:
                    return json.dumps(matches, ensure_ascii=False)
    return json.dumps(matches, ensure_ascii=False)


def list_files(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """The names of the files in the folder, a JSON list."""
    folder = _folder(config, files)
    return json.dumps([str(path.relative_to(folder)) for path in _files(folder)])


def read_file(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """The text of one file of the folder."""
    folder = _folder(config, files)
    return _read(_inside(folder, _text(arguments, "file")))


def append_record(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """Add the arguments as one JSON line to a file; `recorded N` counts its lines."""
    path = _inside(files, _text(config, "file"))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = json.dumps(arguments, sort_keys=True, ensure_ascii=False) + "\n"
    with _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
        file.write(line.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        count = sum(1 for _ in file)
    return f"recorded {count}"


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise ToolFailed(f"{name} must be a text that is not empty")
    if len(value) > PATTERN_MAX:
        raise ToolFailed(f"{name} is longer than {PATTERN_MAX} characters")
    # Half of a surrogate pair is in no file's name and in no file's text.
    return value.encode("utf-8", "replace").decode()


def _folder(config: dict[str, Any], files: Path) -> Path:
    folder = _inside(files, str(config.get("folder", ".")))
    if not folder.is_dir():
        raise ToolFailed(f"the folder {config.get('folder', '.')} is not there")
    return folder


def _inside(folder: Path, name: str) -> Path:
    """The path of a name inside a folder, with no symbolic link on the way."""
    plain = Path(name)
    if plain.is_absolute() or ".." in plain.parts:
        raise ToolFailed(f"{name} leaves its folder")
    path = folder
    for part in plain.parts:
        path = path / part
        if path.is_symlink():
            raise ToolFailed(f"{name} is a symbolic link, or behind one")
    return path


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for root, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if not path.is_symlink() and path.is_file():
                count += 1
                if count > FILES_MAX:
                    return
                yield path


def _read(path: Path) -> str:
    with _opened(path, os.O_RDONLY) as file:
        data = file.read(FILE_BYTES_MAX)
    return data.decode("utf-8", "replace")


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[IO[bytes]]:
    """A regular file; no link is followed, and nobody is waited for behind a named pipe."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise ToolFailed(f"{path.name} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ToolFailed(f"{path.name} is not a regular file")
        mode = "rb" if flags == os.O_RDONLY else "r+b"
        with os.fdopen(descriptor, mode, closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


FUNCTIONS: Final[dict[str, Callable[[dict[str, Any], dict[str, Any], Path], str]]] = {
    "append_record": append_record,
    "list_files": list_files,
    "read_file": read_file,
    "search_files": search_files,
}
