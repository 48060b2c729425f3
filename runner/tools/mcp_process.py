"""The program of an MCP server over stdio: in the sandbox, line by line, and bounded.

    allowed by tools.commands? ─> sandbox ─> lines out, lines in ─> ended with the block

Its environment is built from nothing: what its manifest names, a HOME, and no more. It works
in a folder of its own, which no other tool sees. A line that is no message is let go, up to
a bound; what it says on standard error is kept up to a bound, for when it ends.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner import sandbox
from runner.contract import seal
from runner.contract.errors import ToolFailed
from runner.contract.kinds import McpServer
from runner.sandbox import program
from runner.sandbox.confinement import MEBIBYTE
from runner.tools.mcp_server import Server

LINE_BYTES_MAX: Final = 4 * MEBIBYTE
ERROR_BYTES_MAX: Final = 2_048
WRITE_S: Final = 20.0
"""A server that does not read for so long would hold up everybody who shares it."""
CPU_S: Final = 86_400
"""A server lives long: its share of the processor is the kernel's to give, not ours."""
_CHUNK: Final = 65_536
_ERROR_WORDS: Final = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where programs may come from on this host, and where servers have their folders."""

    commands: tuple[str, ...]
    folder: Path
    hidden: Path
    """The home: no folder that leads to it is shown."""


class Pipes:
    """The two ends of a running server."""

    def __init__(
        self, process: asyncio.subprocess.Process, level: sandbox.Level, server: Server
    ) -> None:
        self.level = level
        self._process = process
        self._server = server
        self._error = bytearray()

    async def lines(self) -> AsyncIterator[bytes]:
        """What it writes, line by line, until it ends; ToolFailed for a line without end."""
        assert self._process.stdout is not None
        waiting = bytearray()
        while chunk := await self._process.stdout.read(_CHUNK):
            waiting += chunk
            if b"\n" in chunk:
                *whole, rest = waiting.split(b"\n")
                waiting = bytearray(rest)
                for line in whole:
                    yield bytes(line)
            if len(waiting) > LINE_BYTES_MAX:
                raise ToolFailed(f"it wrote a line of more than {LINE_BYTES_MAX} bytes")

    async def write(self, line: bytes) -> None:
        """Send it a line; ToolFailed when it does not read. That it ended is seen elsewhere."""
        assert self._process.stdin is not None
        try:
            async with asyncio.timeout(WRITE_S):
                self._process.stdin.write(line + b"\n")
                await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return
        except TimeoutError:
            raise ToolFailed(f"it read nothing for {WRITE_S:g} s") from None

    async def listen(self) -> None:
        """Keep the end of what it says on standard error, so that its pipe never fills."""
        assert self._process.stderr is not None
        margin = seal.longest(self._server.hidden)
        while chunk := await self._process.stderr.read(_CHUNK):
            self._error += chunk
            del self._error[: -(ERROR_BYTES_MAX + margin)]

    def last_words(self) -> str:
        """The end of its standard error, masked, as the end of a sentence."""
        text = bytes(self._error).decode("utf-8", "replace")
        said = seal.redact(text, self._server.hidden).strip()
        return f": {' '.join(said[-_ERROR_WORDS:].split())}" if said else ""


@contextlib.asynccontextmanager
async def started(server: Server, place: Place) -> AsyncIterator[Pipes]:
    """The program of a server while the block lasts; ToolFailed."""
    spec = server.spec
    argv = [found(spec, place.commands), *spec.args]
    bare = spec.default_tool_runtime.isolation_mode == "none"
    level = await sandbox.level_for("none" if bare else "required")
    folder = place.folder / server.namespace / f"{server.key.namespace}.{server.key.name}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    launch = sandbox.launched(argv, _confinement(server, place, folder), level)
    try:
        async with sandbox.running(launch) as process:
            pipes = Pipes(process, level, server)
            listening = asyncio.create_task(pipes.listen())
            try:
                yield pipes
            finally:
                listening.cancel()
                await asyncio.wait([listening])
    except Exception:
        # That its sandbox could not be made is the cause of all that was seen of it.
        if trouble := launch.trouble():
            raise ToolFailed(trouble) from None
        raise


def found(spec: McpServer, commands: tuple[str, ...]) -> str:
    """The program's path as the settings allow it; ToolFailed.

    A bare name, as manifests of the public dialect have it, means the one allowed program
    of that name: the host says which, and no search path.
    """
    command = spec.command or ""
    known = [path for path in commands if path == command or Path(path).name == command]
    if len(known) > 1:
        raise ToolFailed(f"{command} may mean {' or '.join(known)}; write the whole path")
    if not known:
        raise ToolFailed(
            f"{command} may not be started on this host; the setting tools.commands names"
            " the programs that may"
        )
    if not os.access(known[0], os.X_OK) or not Path(known[0]).is_file():
        raise ToolFailed(f"{known[0]} cannot be started: there is no such program")
    return known[0]


def _confinement(server: Server, place: Place, folder: Path) -> sandbox.Confinement:
    spec, runtime = server.spec, server.spec.default_tool_runtime
    # A script counts as a program: it is seen where the settings name it as well.
    shown = [
        found(spec, place.commands),
        *(word for word in spec.args if word in place.commands),
    ]
    paths = [path for word in shown for path in program.needed_by(Path(word), place.hidden)]
    return sandbox.Confinement(
        readable=tuple(dict.fromkeys(paths)),
        writable=(folder,),
        working_folder=folder,
        environment={"HOME": str(folder), **server.environment},
        network="*" in spec.network.hosts,
        memory_bytes=runtime.memory_mb * MEBIBYTE,
        processes=runtime.processes,
        cpu_s=CPU_S,
    )
