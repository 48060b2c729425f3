"""A program in a container: by podman or docker of this host, where the settings name one.

    image allowed? ─> run, nothing of the host in it ─> ended ─> removed
                                                    └─ given up ─> removed by force

The image is never fetched in a call, and never run without a container. Values of secrets go
through a file of the worker's alone, never through words that every user of the host can read.
"""

import asyncio
import contextlib
import math
import os
import pwd
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.sandbox.bare import SETPRIV
from runner.sandbox.confinement import OPEN_FILES_MAX
from runner.sandbox.launch import Launch, group_killed, run_to_end
from runner.tools import CONTAINER, Call, command

USER: Final = "65532:65532"
TMP_MIB: Final = 64
_FOLDERS: Final = ("/usr/bin", "/usr/local/bin", "/bin")
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - not for passing files: values in memory.
_OWN_FAILURE, _NOT_STARTED, _NOT_FOUND = 125, 126, 127
_REMOVAL_S: Final = 20.0


async def run(
    tool: Tool, argv: list[str], given: bytes, variables: dict[str, str], call: Call
) -> command.Done:
    """The program run to its end in a container of its own; ToolFailed."""
    assert tool.cli is not None
    runtime = _runtime(call.bounds.container)
    image = tool.cli.image or ""
    if not _allowed(image, call.bounds.images):
        raise ToolFailed(
            f"the image {image} may not be run on this host; the setting tools.images names the"
            " images that may",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        )
    name = f"orloj-{secrets.token_hex(8)}"
    with _written({"HOME": "/tmp", **variables}) as file:  # noqa: S108 - that of the container.
        words = [*_words(tool, Path(runtime).name, name, file), image, *argv[1:]]
        launch = _launch(runtime, words)
        try:
            code, output, error = await run_to_end(
                launch,
                given,
                command.output_bytes_max(call),
                command.error_bytes_max(call, answers=tool.cli.output != "stdout"),
            )
        except BaseException:
            # What runs it was killed with the call; what it runs belongs to a daemon, perhaps.
            await asyncio.shield(_remove(runtime, name))
            raise
    done = command.Done(code, output, error, CONTAINER)
    if code in (_OWN_FAILURE, _NOT_STARTED, _NOT_FOUND):
        raise _not_run(Path(runtime).name, tool, done, call)
    return done


def _runtime(named: str) -> str:
    """The program that runs containers here; ToolFailed."""
    if not named:
        raise ToolFailed(
            "this tool runs in a container, and the setting tools.container of this host names"
            " nothing that runs one: write podman or docker, or take cli.image out for the"
            " sandbox",
            code=ToolCode.ISOLATION_UNAVAILABLE,
        )
    paths = [named] if named.startswith("/") else [f"{folder}/{named}" for folder in _FOLDERS]
    for path in paths:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise ToolFailed(
        f"this tool runs in a container, and {named} (tools.container) is not installed on this"
        " host",
        code=ToolCode.ISOLATION_UNAVAILABLE,
    )


def _allowed(image: str, images: tuple[str, ...]) -> bool:
    return any(
        image.startswith(one[:-1]) if one.endswith("*") else image == one for one in images
    )


def _words(tool: Tool, flavour: str, name: str, variables: str) -> list[str]:
    """What stands before the image: everything that the container may not have."""
    assert tool.cli is not None
    memory, limit_s = f"{tool.runtime.memory_mb}m", math.ceil(seconds(tool.runtime.timeout))
    cpu_s = limit_s * (os.cpu_count() or 1) + 1
    words = [
        *("run", "--rm", "--interactive", "--pull=never", f"--name={name}"),
        *("--label=dev.orloj.call=1", "--log-driver=none"),
        *(f"--network={tool.cli.network or 'none'}", "--read-only", "--cap-drop=ALL"),
        *("--security-opt=no-new-privileges", f"--user={USER}"),
        *(f"--memory={memory}", f"--memory-swap={memory}"),
        f"--pids-limit={tool.runtime.processes}",
        *(f"--ulimit=nofile={OPEN_FILES_MAX}:{OPEN_FILES_MAX}", "--ulimit=core=0:0"),
        f"--ulimit=cpu={cpu_s}:{cpu_s}",
        f"--tmpfs=/tmp:rw,nosuid,nodev,size={TMP_MIB}m,mode=1777",
        f"--env-file={variables}",
    ]
    if flavour.startswith("podman"):
        # Podman alone ends a container by itself, and hands the host's proxies to it.
        words += [f"--timeout={limit_s + 1}", "--http-proxy=false"]
    if tool.cli.working_dir is not None:
        words.append(f"--workdir={tool.cli.working_dir}")
    return [*words, f"--entrypoint={tool.cli.command}"]


@contextlib.contextmanager
def _written(variables: dict[str, str]) -> Iterator[str]:
    """A file of NAME=VALUE that only this user can read, in memory where that is to be had."""
    for name, value in variables.items():
        if "\n" in value or "\r" in value:
            raise ToolFailed(
                f"the variable {name} has several lines, and a container is given one for each",
                code=ToolCode.RUNTIME_POLICY_INVALID,
            )
    place = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
    with tempfile.NamedTemporaryFile("w", dir=place, prefix="orloj-", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
        file.flush()
        yield file.name


def _launch(runtime: str, words: list[str]) -> Launch:
    user = pwd.getpwuid(os.getuid())
    environment = {"PATH": ":".join((*_FOLDERS, "/usr/sbin", "/sbin")), "HOME": user.pw_dir}
    session = f"/run/user/{user.pw_uid}"
    if os.path.isdir(session):
        environment["XDG_RUNTIME_DIR"] = session
    # A signal that it hands on to the container, should this worker die without a word.
    return Launch(
        argv=[SETPRIV, "--pdeathsig=TERM", runtime, *words],
        environment=environment,
        kill=group_killed,
    )


async def _remove(runtime: str, name: str) -> None:
    """End and remove a container; there may be none yet."""
    launch = _launch(runtime, ["rm", "--force", "--volumes", name])
    with contextlib.suppress(ToolFailed, TimeoutError):
        async with asyncio.timeout(_REMOVAL_S):
            await run_to_end(launch, b"", 0, 0)


def _not_run(flavour: str, tool: Tool, done: command.Done, call: Call) -> ToolFailed:
    """Why there was no program to end: the runtime's own words, and what to do."""
    assert tool.cli is not None
    said = command.said(done, call)
    if done.code == _OWN_FAILURE:
        return ToolFailed(
            f"{flavour} did not start the container: {said}; an image has to be on the host"
            f" before: {flavour} pull {tool.cli.image}",
            code=ToolCode.ISOLATION_UNAVAILABLE,
        )
    return ToolFailed(
        f"{tool.cli.command} cannot be started in {tool.cli.image}: {said}",
        code=ToolCode.RUNTIME_POLICY_INVALID,
        isolation=CONTAINER,
    )
