"""A program from its start to its end, with all that it started.

    started ──input given, output kept up to a bound──> ended
       └──given up, out of time──> killed ──> waited for

Levels differ in how everything is ended at once; each names its way in a `Launch`.
"""

import asyncio
import contextlib
import marshal
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from runner.contract.errors import ToolFailed
from runner.sandbox import launcher

_CHUNK: Final = 65_536
_WORDS: Final = 200


@dataclass(eq=False, slots=True, kw_only=True)
class Launch:
    """The words that start a program in its level, and what belongs to it while it runs.

    `descriptors` go to the program's side and are closed here once it runs. `status` is the
    end of a pipe on which the level says how it went, read by `troubled`. `lifeline`, where
    there is one, ends everything when it is closed: here, or by the death of this process.
    """

    argv: list[str]
    environment: dict[str, str]
    folder: Path = Path("/")
    descriptors: tuple[int, ...] = ()
    lifeline: int | None = None
    status: int | None = None
    troubled: Callable[[str], str] = lambda _: ""
    kill: Callable[[int], None] | None = None
    _said: bytes = field(default=b"", init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.started()
        for descriptor in (self.lifeline, self.status):
            if descriptor is not None:
                os.close(descriptor)
        self.lifeline = self.status = None

    def started(self) -> None:
        """Close what only the program's side needs."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()

    def said(self) -> str:
        """What the level said so far."""
        if self.status is not None:
            with contextlib.suppress(BlockingIOError):
                while chunk := os.read(self.status, _CHUNK):
                    self._said += chunk
        return self._said.decode("utf-8", "replace")

    def trouble(self) -> str:
        """Why the program was never started, as a clause; empty: it was."""
        return self.troubled(self.said())

    def end(self, process_id: int) -> None:
        """Kill the program and what it started; does not wait."""
        if self.kill is not None:
            self.kill(process_id)
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None


def group_killed(process_id: int) -> None:
    """Kill a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)


def supervised(
    argv: list[str],
    environment: dict[str, str],
    *,
    status: tuple[int, int],
    given: Sequence[int] = (),
    kept: Sequence[int] = (),
    own_users: bool = False,
    rules: dict[str, Any] | None = None,
    troubled: Callable[[str], str],
) -> Launch:
    """A launch by way of the launcher, which ends everything when its lifeline is closed.

    `given` are descriptors for the program, `kept` those for the launcher only.
    """
    said, told = status
    os.set_blocking(said, False)
    watched, lifeline = os.pipe()
    order = {
        "watched": watched,
        "told": told,
        "given": list({*given, *kept, told}),
        "kept": [watched, *kept, *([] if told in given else [told])],
        "own_users": own_users,
        "rules": rules,
    }
    python = os.path.realpath(sys.executable)
    return Launch(
        argv=[
            *(python, "-I", "-S", "-c", launcher.START, str(Path(launcher.__file__).parent)),
            *(marshal.dumps(order).hex(), *argv),
        ],
        environment=environment,
        descriptors=tuple({*given, *kept, told, watched}),
        lifeline=lifeline,
        status=said,
        troubled=troubled,
    )


_running: dict[int, Launch] = {}


def kill_all() -> None:
    """Kill every program that still runs, for a worker that must leave at once."""
    for process_id, launch in list(_running.items()):
        launch.end(process_id)


async def run_to_end(
    launch: Launch, given: bytes, output_bytes_max: int, error_bytes_max: int
) -> tuple[int, bytes, bytes]:
    """Code, output and error; ToolFailed when it could not be started."""
    async with running(launch) as process:
        output, error = await _streams(process, given, output_bytes_max, error_bytes_max)
        code = await process.wait()
    if trouble := launch.trouble():
        words = error[:_WORDS].decode("utf-8", "replace").strip()
        raise ToolFailed(": ".join(filter(None, (trouble, words))))
    return (128 - code if code < 0 else code), output, error


@contextlib.asynccontextmanager
async def running(launch: Launch) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program for as long as the block lasts; ToolFailed when it cannot be started.

    Afterwards nothing of it is left, and `launch.trouble` tells whether it ever ran.
    """
    with launch:
        starting = asyncio.create_task(_started(launch))
        try:
            # Half started it could not be ended cleanly: a cancel waits for the other half.
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await _ended(await starting, launch)
            raise
        try:
            yield process
        finally:
            await _ended(process, launch)
            launch.said()


async def _ended(process: asyncio.subprocess.Process, launch: Launch) -> None:
    """Kill what is left, and wait until it is gone."""
    transport = process._transport  # type: ignore[attr-defined]
    launch.end(process.pid)
    _running.pop(process.pid, None)
    # What nobody reads any more, or a child that outlives its group holds open, would keep
    # asyncio waiting for the pipes' end. The transport itself is closed last: it kills.
    for stream in (0, 1, 2):
        transport.get_pipe_transport(stream).close()
    try:
        await process.wait()
    finally:
        transport.close()


async def _started(launch: Launch) -> asyncio.subprocess.Process:
    try:
        process = await asyncio.create_subprocess_exec(
            *launch.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=launch.folder,
            env=launch.environment,
            pass_fds=launch.descriptors,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(f"{launch.argv[0]} cannot be started: {error.strerror}") from error
    launch.started()
    _running[process.pid] = launch
    return process


async def _streams(
    process: asyncio.subprocess.Process, given: bytes, output_max: int, error_max: int
) -> tuple[bytes, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    # All at once: a program may write more than a pipe holds before it reads.
    _, output, error = await asyncio.gather(
        _write(process.stdin, given),
        _read(process.stdout, output_max),
        _read(process.stderr, error_max),
    )
    return output, error


async def _write(stream: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(given)
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(_CHUNK):
        if len(kept) < limit:
            kept += chunk[: limit - len(kept)]
    return bytes(kept)
