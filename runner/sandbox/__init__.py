"""Where programs of others run: tools, functions of ours, servers that speak over pipes.

    bwrap+seccomp      own file view, processes, users and network      asked for first
    landlock+seccomp   rules of the kernel on the process itself        where that cannot work
    none               bounds only                                      where a manifest says so

Without one of the first two a call is refused, unless the manifest says `isolation: none`.
Which level it was is told with the answer, so that it can stand in the log. What each level
holds and does not is in docs/isolation.md.
"""

import asyncio
import functools
import subprocess
from dataclasses import dataclass
from typing import Literal

from runner.contract.errors import ToolCode, ToolFailed
from runner.sandbox import bare, bubblewrap, landlock
from runner.sandbox.confinement import Confinement, Level
from runner.sandbox.launch import Launch, kill_all, run_to_end, running

__all__ = [
    "Available",
    "Confinement",
    "Finished",
    "Level",
    "available",
    "kill_all",
    "launched",
    "level_for",
    "run",
    "running",
]

_PROBE_S = 20.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended; `code` is 128 and the signal's number where one ended it."""

    code: int
    output: bytes
    error: bytes
    level: Level


@dataclass(frozen=True, slots=True)
class Available:
    """The level of this host, and why the better ones are not to be had."""

    level: Level
    missing: tuple[str, ...] = ()


@functools.cache
def available() -> Available:
    """The best level that works here: tried once, with a program that does nothing."""
    missing: list[str] = []
    for level in (Level.BUBBLEWRAP, Level.LANDLOCK):
        reason = why_not(level)
        if reason is None:
            return Available(level, tuple(missing))
        missing.append(reason)
    return Available(Level.NONE, tuple(missing))


async def run(
    argv: list[str],
    given: bytes,
    confinement: Confinement,
    *,
    output_bytes_max: int,
    error_bytes_max: int,
    isolation: Literal["required", "none"] = "required",
    level: Level | None = None,
) -> Finished:
    """
    Run a program to its end; ToolFailed when it cannot be started as it must be.

    What it writes beyond the bounds is let go. When the call is over or given up, nothing
    that it started is left. `level` asks for one level and no other.
    """
    if isolation == "none" or level is None:
        level = await level_for(isolation)
    launch = launched(argv, confinement, level)
    code, output, error = await run_to_end(launch, given, output_bytes_max, error_bytes_max)
    return Finished(code, output, error, level)


async def level_for(isolation: Literal["required", "none"]) -> Level:
    """The level that a program gets on this host; ToolFailed where there is no sandbox."""
    if isolation == "none":
        return Level.NONE
    level = (await asyncio.to_thread(available)).level
    if level is Level.NONE:
        raise ToolFailed(_refusal(available().missing), code=ToolCode.ISOLATION_UNAVAILABLE)
    return level


def launched(argv: list[str], confinement: Confinement, level: Level) -> Launch:
    """The way into a level, for whoever talks to a program while it runs."""
    match level:
        case Level.BUBBLEWRAP:
            return bubblewrap.launch(argv, confinement)
        case Level.LANDLOCK:
            return landlock.launch(argv, confinement)
        case Level.NONE:
            return bare.launch(argv, confinement)


def _refusal(missing: tuple[str, ...]) -> str:
    return (
        f"no sandbox works on this host ({'; '.join(missing)}); install bubblewrap"
        " (`apt install bubblewrap`), or let the tool run without one:"
        " `runtime: {isolation: none}`"
    )


def why_not(level: Level) -> str | None:
    """Why a level does not work here; None: it does."""
    confinement = Confinement(processes=4, memory_bytes=256 * 2**20, cpu_s=5)
    # With a child, to see that the bound on processes counts those of the sandbox alone.
    argv = ["/bin/sh", "-c", "/bin/true & wait"]
    try:
        launch = launched(argv, confinement, level)
    except ToolFailed as error:
        return f"{level}: {error}"
    with launch:
        try:
            done = subprocess.run(  # noqa: S603
                launch.argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=launch.environment,
                cwd=launch.folder,
                pass_fds=launch.descriptors,
                timeout=_PROBE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{level}: {type(error).__name__}"
        said = launch.trouble() or done.stderr.decode("utf-8", "replace").strip()
    if done.returncode == 0 and not said:
        return None
    return f"{level}: {said or f'ended with code {done.returncode}'}"
