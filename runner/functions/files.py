"""File functions: each works inside one folder and follows no symbolic link out of it.

The folder is that of the tool's `config`, inside the files folder of the home.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from runner.contract.errors import ToolFailed
from runner.functions import folder

MATCHES_MAX: Final = 200
FILES_MAX: Final = 2_000
FILE_BYTES_MAX: Final = 2_097_152  # More than any answer may be, so that a cut is seen.
PATTERN_MAX: Final = 200


def search_files(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """Lines that contain any of the words of `pattern` (`a|b`): `[{file, line, text}]`."""
    words = [word.strip().lower() for word in _text(arguments, "pattern").split("|")]
    words = [word for word in words if word]
    matches: list[dict[str, Any]] = []
    with _folder(config, files) as here:
        for steps in _files(here):
            for number, line in enumerate(_read(here, steps).splitlines(), 1):
                if any(word in line.lower() for word in words):
                    found = {"file": _name(steps), "line": number, "text": line.strip()[:300]}
                    matches.append(found)
                    if len(matches) >= MATCHES_MAX:
                        return json.dumps(matches, ensure_ascii=False)
    return json.dumps(matches, ensure_ascii=False)


def list_files(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """The names of the files in the folder, a JSON list."""
    with _folder(config, files) as here:
        return json.dumps([_name(steps) for steps in _files(here)])


def read_file(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """The text of one file of the folder."""
    steps = folder.parts(_text(arguments, "file"))
    with _folder(config, files) as here:
        return _read(here, steps)


def append_record(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """Add the arguments as one JSON line to a file; `recorded N` counts its lines."""
    steps = folder.parts(_text(config, "file"))
    line = json.dumps(arguments, sort_keys=True, ensure_ascii=False) + "\n"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    with (
        folder.opened(files, steps[:-1], make=True) as here,
        folder.file(here, steps[-1:], flags) as file,
    ):
        file.write(line.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        count = sum(1 for _ in file)
    return f"recorded {count}"


def write_file(arguments: dict[str, Any], config: dict[str, Any], files: Path) -> str:
    """Make a file of the folder hold `text`, whole or not at all; `written N` bytes."""
    steps = folder.parts(_text(arguments, "file"))
    text = arguments.get("text")
    if not isinstance(text, str):
        raise ToolFailed("text must be a text")
    data = text.encode("utf-8", "replace")
    if len(data) > FILE_BYTES_MAX:
        raise ToolFailed(f"text is longer than {FILE_BYTES_MAX} bytes")
    with _folder(config, files) as here:
        folder.replaced(here, steps, data)
    return f"written {len(data)}"


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise ToolFailed(f"{name} must be a text that is not empty")
    if len(value) > PATTERN_MAX:
        raise ToolFailed(f"{name} is longer than {PATTERN_MAX} characters")
    # Half of a surrogate pair is in no file's name and in no file's text.
    return value.encode("utf-8", "replace").decode()


@contextmanager
def _folder(config: dict[str, Any], files: Path) -> Iterator[int]:
    name = str(config.get("folder", "."))
    steps = folder.parts(name)
    with ExitStack() as held:
        try:
            here = held.enter_context(folder.opened(files, steps))
        except ToolFailed as error:
            raise ToolFailed(f"the folder {error}") from error
        yield here


def _name(steps: folder.Parts) -> str:
    return "/".join(steps)


def _files(here: int) -> Iterator[folder.Parts]:
    return islice(folder.files(here), FILES_MAX)


def _read(here: int, steps: folder.Parts) -> str:
    with folder.file(here, steps, os.O_RDONLY) as file:
        data = file.read(FILE_BYTES_MAX)
    return data.decode("utf-8", "replace")
