"""Tools of type `command`: a program of this host, its arguments as a list, never a shell.

The setting `tools.commands` names the programs that may be started. The call's arguments
arrive as JSON on standard input, and in place of `{name}` items of the list. The
environment is built from nothing; the whole process group ends with the call.

The program is started through `setpriv` and `prlimit` (util-linux): it gains no privilege,
leaves no core dump, has bounds on open files, file size and processor time, and dies with
the worker that started it.
"""

import asyncio
import contextlib
import json
import math
import os
import re
import signal
import stat
from typing import Any, Final

from runner.contract import seal
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.tools import Call

_PLACEHOLDER: Final = re.compile(r"\{([\w-]+)\}")
_ERROR_CHARACTERS: Final = 300

_LAUNCHER: Final = (
    "/usr/bin/setpriv",
    "--no-new-privs",
    "--pdeathsig=KILL",
    "/usr/bin/prlimit",
    "--core=0:0",
    "--nofile=256:256",
    f"--fsize={256 * 1024 * 1024}",
)

_groups: set[int] = set()


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> str:
    """Standard output; ToolFailed when the program is not allowed or did not succeed."""
    argv = _argv(tool.command, arguments)
    if argv[0] not in call.bounds.commands:
        raise ToolFailed(
            f"{argv[0]} may not be started on this host; the setting tools.commands "
            "names the programs that may"
        )
    environment = {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "IDEMPOTENCY_KEY": call.idempotency_key,
        **({"TOOL_SECRET": call.secret} if call.secret is not None else {}),
    }
    call.bounds.files.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        process = await asyncio.create_subprocess_exec(
            *_launched(argv, seconds(tool.runtime.timeout)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=call.bounds.files,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(f"{argv[0]} cannot be started: {error.strerror}") from error
    _groups.add(process.pid)
    try:
        return await _finish(process, json.dumps(arguments).encode(), call, argv[0])
    finally:
        _kill(process.pid)
        _groups.discard(process.pid)
        # A child that left the group may hold the pipes for ever; our ends must not.
        process._transport.close()  # type: ignore[attr-defined]
        await process.wait()


def _launched(argv: list[str], limit_s: float) -> list[str]:
    """The words that start a program within its bounds; ToolFailed when it is not there."""
    for program in (argv[0], *(word for word in _LAUNCHER if word.startswith("/"))):
        try:
            mode = os.stat(program).st_mode
        except OSError as error:
            raise ToolFailed(f"{program} cannot be started: {error.strerror}") from error
        if not stat.S_ISREG(mode) or not os.access(program, os.X_OK):
            raise ToolFailed(f"{program} cannot be started: it is no program of ours to run")
    # Computing on many cores at once, it may use up more than the clock shows.
    cpu_s = math.ceil(limit_s) * (os.cpu_count() or 1) + 1
    return [*_LAUNCHER, f"--cpu={cpu_s}", "--", *argv]


def kill_all() -> None:
    """Kill every program that still runs, for a worker that must leave at once."""
    for group in _groups:
        _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


async def _finish(
    process: asyncio.subprocess.Process, given: bytes, call: Call, name: str
) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    margin = seal.longest(call.hidden)
    limit = call.bounds.output_bytes_max + margin
    # All at once: a program may write more than a pipe holds before it reads.
    _, output, error = await asyncio.gather(
        _write(process.stdin, given),
        _read(process.stdout, limit + 1),
        _read(process.stderr, _ERROR_CHARACTERS + margin + 1),
    )
    code = await process.wait()
    if code != 0:
        said = seal.excerpt(error.decode("utf-8", "replace"), _ERROR_CHARACTERS, call.hidden)
        raise ToolFailed(f"{name} ended with code {code}: {said.strip()}")
    return output.decode("utf-8", "replace")


async def _write(stream: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(given)
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(65_536):
        if len(kept) < limit:
            kept += chunk[: limit - len(kept)]
    return bytes(kept)


def _argv(template: list[str], arguments: dict[str, Any]) -> list[str]:
    argv: list[str] = []
    for item in template:
        placeholder = _PLACEHOLDER.fullmatch(item)
        if placeholder is None:
            argv.append(item)
            continue
        name = placeholder[1]
        if name not in arguments:
            raise ToolFailed(f"the argument {name} is missing")
        value = arguments[name]
        if isinstance(value, dict | list) or value is None:
            raise ToolFailed(f"the argument {name} is neither a text nor a number")
        # As JSON writes it, so that `true` is no Python word.
        value = value if isinstance(value, str) else json.dumps(value)
        value = value.encode("utf-8", "replace").decode()
        if value.startswith("-") and "--" not in argv:
            raise ToolFailed(f"the argument {name} may not begin with a dash")
        if "\x00" in value:
            raise ToolFailed(f"the argument {name} may not contain a zero byte")
        argv.append(value)
    return argv
