"""Runs one of our own functions for a call: a process of its own, in a sandbox.

It sees the interpreter, the functions and what the call needs, and nothing else. The folder
that it works in is opened here, without following a link, and shown by its descriptor:
whoever renames things meanwhile changes nothing about what it sees.
"""

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runner import contract, functions, sandbox
from runner.contract import errors
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.functions import child, folder
from runner.sandbox import program
from runner.sandbox.confinement import MEBIBYTE
from runner.tools import Answered, Call, may_be_bare

_ANSWER_BYTES_MAX: Final = 16 * MEBIBYTE
_ERROR_BYTES_MAX: Final = 2_000
_PACKAGE: Final = Path(functions.__file__).parent
_CODE: Final = (
    _PACKAGE.parent / "__init__.py",
    _PACKAGE,
    Path(contract.__file__),
    Path(errors.__file__),
)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a function must see: a folder inside the files folder, and files of the host."""

    steps: folder.Parts | None = None
    writable: bool = False
    readable: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """A function by its name in `runner.functions.table`, and what it is given."""

    function: str
    arguments: dict[str, Any]
    config: dict[str, Any]
    needs: Needs


async def run(tool: Tool, work: Work, call: Call) -> Answered:
    """What the function answered; ToolFailed."""
    request = {
        "function": work.function,
        "arguments": work.arguments,
        "config": work.config,
        "root": str(call.bounds.files),
    }
    with _confined(tool, work.needs, call.bounds.files) as confinement:
        done = await sandbox.run(
            [_interpreter(), "-I", "-S", str(Path(child.__file__))],
            json.dumps(request).encode(),
            confinement,
            output_bytes_max=_ANSWER_BYTES_MAX,
            error_bytes_max=_ERROR_BYTES_MAX,
            isolation="none" if may_be_bare(tool) else "required",
        )
    if done.code != 0:
        raise ToolFailed(
            f"the function {work.function} ended with code {done.code}", isolation=done.level
        )
    answer = json.loads(done.output)
    if "error" in answer:
        raise ToolFailed(answer["error"], retryable=answer["retryable"], isolation=done.level)
    return Answered(answer["content"], done.level)


@contextmanager
def _confined(tool: Tool, needs: Needs, files: Path) -> Iterator[sandbox.Confinement]:
    python = program.needed_by(Path(_interpreter()), files.parent)
    readable = (*python, *_CODE, *needs.readable)
    limits: dict[str, Any] = {
        "memory_bytes": tool.runtime.memory_mb * MEBIBYTE,
        "processes": tool.runtime.processes,
        "cpu_s": math.ceil(seconds(tool.runtime.timeout)) + 1,
    }
    if needs.steps is None:
        yield sandbox.Confinement(readable=readable, **limits)
        return
    shown = files.joinpath(*needs.steps)
    with _opened(files, needs) as descriptor:
        yield sandbox.Confinement(
            readable=readable if needs.writable else (*readable, shown),
            writable=(shown,) if needs.writable else (),
            held={shown: descriptor},
            **limits,
        )


@contextmanager
def _opened(files: Path, needs: Needs) -> Iterator[int]:
    assert needs.steps is not None
    with ExitStack() as held:
        try:
            descriptor = held.enter_context(
                folder.opened(files, needs.steps, make=needs.writable)
            )
        except ToolFailed as error:
            raise ToolFailed(f"the folder {error}") from error
        yield descriptor


def _interpreter() -> str:
    # Not the link in an environment: without site-packages there is nothing to find by it.
    return os.path.realpath(sys.executable)
