"""The words of a `cli` call: one for each entry of `args`, whatever stands in it. Pure.

An entry that is empty once it is filled is left out, as the public dialect has it; but not
behind an option, which would then take the next word for its value.
"""

import json
from typing import Any, Final

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds.tool_program import Cli, Path, filled, leading, templates

BYTES_MAX: Final = 65_536


def words(cli: Cli, arguments: dict[str, Any]) -> list[str]:
    """The program and its arguments; ToolFailed for arguments that fit no word."""
    argv = [cli.command]
    for entry in cli.args:
        if not templates(entry):
            argv.append(entry)
            continue
        text = filled(entry, lambda path: _text(path, arguments))
        if text:
            _check_option(entry, text, argv)
            argv.append(text)
        elif argv[1:] and argv[-1].startswith("-") and argv[-1] != "--":
            raise _unfit(f"{entry} is empty, and would leave {argv[-1]} without its value")
    if sum(len(word.encode()) + 1 for word in argv) > BYTES_MAX:
        raise _unfit(f"the command has more than {BYTES_MAX} bytes")
    return argv


def _check_option(entry: str, text: str, argv: list[str]) -> None:
    # What the manifest itself begins with a dash is its author's option.
    if text.startswith("-") and not leading(entry) and "--" not in argv:
        raise _unfit(f"{entry} may not begin with a dash")


def _text(path: Path, arguments: dict[str, Any]) -> str:
    name = ".".join(path)
    value: Any = arguments
    for step in path:
        if value is None:
            return ""
        if not isinstance(value, dict):
            raise _unfit(f"the argument {name} is not there: what it stands in has no parts")
        value = value.get(step)
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise _unfit(f"the argument {name} is neither a text nor a number")
    # As JSON writes it, so that `true` is no Python word.
    text = value if isinstance(value, str) else json.dumps(value)
    if "\x00" in text:
        raise _unfit(f"the argument {name} may not contain a zero byte")
    return text.encode("utf-8", "replace").decode()


def _unfit(said: str) -> ToolFailed:
    return ToolFailed(said, code=ToolCode.INVALID_INPUT)
