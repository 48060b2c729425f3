"""Tools of type `python`: functions that ship with the runner, and no others.

A file function works inside one folder: that of the tool's `config`, inside the files
folder of the home. It follows no symbolic link and never leaves it. Where an allowed
permission names a data source of type `files`, that source's folder is the root instead,
and `read` leaves only the functions that write nothing.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Call, folder
from runner.tools.sources import named, reach

MATCHES_MAX: Final = 200
FILES_MAX: Final = 2_000
FILE_BYTES_MAX: Final = 2_097_152  # More than any answer may be, so that a cut is seen.
PATTERN_MAX: Final = 200


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> str:
    """What the function answered; ToolFailed."""
    function = FUNCTIONS.get(tool.function or "")
    if function is None:
        raise ToolFailed(
            f"there is no function {tool.function}; there are {', '.join(sorted(FUNCTIONS))}"
        )
    config = _within(tool, call)
    return await asyncio.to_thread(function, arguments, config, call.bounds.files)


def _within(tool: Tool, call: Call) -> dict[str, Any]:
    """The tool's config inside the data source that the permissions name, if they do."""
    if named(call.permissions, call.sources) is None:
        return tool.config
    to = reach(call.permissions, call.sources, "files")
    allowed = READING if to.access == "read" else READING | WRITING
    if to.access == "admin" or tool.function not in allowed:
        raise ToolFailed(f"{to.access}: {to.name} does not allow {tool.function}")
    # Joined as names, so that each step is walked without following a link.
    config = {**tool.config, "folder": f"{to.source.path}/{tool.config.get('folder', '.')}"}
    if "file" in config:
        config["file"] = f"{to.source.path}/{_text(config, 'file')}"
    return config


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


FUNCTIONS: Final[dict[str, Callable[[dict[str, Any], dict[str, Any], Path], str]]] = {
    "append_record": append_record,
    "list_files": list_files,
    "read_file": read_file,
    "search_files": search_files,
    "write_file": write_file,
}
WRITING: Final = frozenset({"append_record", "write_file"})
READING: Final = frozenset(FUNCTIONS) - WRITING
