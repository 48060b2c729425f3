"""Tools of type `command`: a program of this host, its arguments as a list, never a shell.

The setting `tools.commands` names the programs that may be started. The call's arguments
arrive as JSON on standard input, and in place of `{name}` items of the list. The
environment is built from nothing. The program runs in a sandbox, which shows it itself, its
libraries and the files folder; all it started ends with the call.
"""

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runner import sandbox
from runner.contract import seal
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.sandbox import program
from runner.sandbox.confinement import MEBIBYTE
from runner.tools import Answered, Call, allowed, may_be_bare

_PLACEHOLDER: Final = re.compile(r"\{([\w-]+)\}")
_ERROR_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended, and how far it was kept apart."""

    code: int
    output: bytes
    error: bytes
    level: str


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """Standard output; ToolFailed when the program is not allowed or did not succeed."""
    argv = _argv(tool.command, arguments)
    if argv[0] not in call.bounds.commands:
        raise ToolFailed(
            f"{argv[0]} may not be started on this host; the setting tools.commands "
            "names the programs that may",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        )
    allowed.check(argv[0])
    call.bounds.files.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = await sandbox.run(
        argv,
        json.dumps(arguments).encode(),
        confinement(tool, call, argv[0]),
        output_bytes_max=output_bytes_max(call),
        error_bytes_max=error_bytes_max(call),
        isolation="none" if may_be_bare(tool) else "required",
    )
    if done.code != 0:
        found = Done(done.code, done.output, done.error, str(done.level))
        raise ended(argv[0], found, call)
    return Answered(done.output.decode("utf-8", "replace"), done.level)


def ended(program: str, done: Done, call: Call) -> ToolFailed:
    """The failure of a program that ended badly."""
    return ToolFailed(
        f"{program} ended with code {done.code}: {said(done, call)}", isolation=done.level
    )


def said(done: Done, call: Call) -> str:
    """The beginning of what it wrote on standard error, without secrets."""
    text = done.error.decode("utf-8", "replace")
    return seal.excerpt(text, _ERROR_CHARACTERS, call.hidden).strip()


def output_bytes_max(call: Call) -> int:
    """How much of an answer is kept until what is hidden is out of it."""
    return call.bounds.output_bytes_max + seal.longest(call.hidden) + 1


def error_bytes_max(call: Call, *, answers: bool = False) -> int:
    """How much of standard error is kept: a little, unless it is part of the answer."""
    if answers:
        return output_bytes_max(call)
    return _ERROR_CHARACTERS + seal.longest(call.hidden) + 1


def confinement(tool: Tool, call: Call, path: str) -> sandbox.Confinement:
    """What a program of this host may see and use up."""
    files = call.bounds.files
    secret = {} if call.secret is None else {"TOOL_SECRET": call.secret}
    return sandbox.Confinement(
        readable=program.needed_by(Path(path), files.parent),
        writable=(files,),
        working_folder=files,
        environment={"IDEMPOTENCY_KEY": call.idempotency_key, **secret},
        network="*" in tool.network.hosts,
        memory_bytes=tool.runtime.memory_mb * MEBIBYTE,
        processes=tool.runtime.processes,
        # Computing on many cores at once, it may use up more than the clock shows.
        cpu_s=math.ceil(seconds(tool.runtime.timeout)) * (os.cpu_count() or 1) + 1,
    )


def _argv(template: list[str], arguments: dict[str, Any]) -> list[str]:
    argv: list[str] = []
    for item in template:
        placeholder = _PLACEHOLDER.fullmatch(item)
        if placeholder is None:
            argv.append(item)
            continue
        name = placeholder[1]
        if name not in arguments:
            raise ToolFailed(f"the argument {name} is missing", code=ToolCode.INVALID_INPUT)
        value = arguments[name]
        if isinstance(value, dict | list) or value is None:
            raise ToolFailed(
                f"the argument {name} is neither a text nor a number",
                code=ToolCode.INVALID_INPUT,
            )
        # As JSON writes it, so that `true` is no Python word.
        value = value if isinstance(value, str) else json.dumps(value)
        value = value.encode("utf-8", "replace").decode()
        if value.startswith("-") and "--" not in argv:
            raise ToolFailed(
                f"the argument {name} may not begin with a dash", code=ToolCode.INVALID_INPUT
            )
        if "\x00" in value:
            raise ToolFailed(
                f"the argument {name} may not contain a zero byte", code=ToolCode.INVALID_INPUT
            )
        argv.append(value)
    return argv
