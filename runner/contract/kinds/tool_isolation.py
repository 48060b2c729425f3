"""Which isolation fits which type of Tool. Pure.

A mode that the type cannot be given is an error while loading: a call would fail, and at
the worst run with less than the manifest promises.
"""

from typing import Any, Final

_ON_HOST: Final = frozenset({"command", "python", "sql"})


def in_container(tool: Any) -> bool:
    """Whether the tool's program runs in a container: asked for, or by its image."""
    if tool.cli is None:
        return False
    mode = tool.runtime.isolation_mode
    return mode == "container" or (mode is None and tool.cli.image is not None)


def check(tool: Any) -> None:
    """ValueError for an isolation that a tool of its type cannot have."""
    mode = tool.runtime.isolation_mode
    if tool.type in _ON_HOST and mode in ("container", "wasm"):
        raise ValueError(
            f"isolation_mode {mode} is not for {tool.type}: leave it out for the sandbox of"
            " this host, or write type cli with cli.image, or type wasm"
        )
    if tool.type == "wasm" and mode == "container":
        raise ValueError("a module needs no container: leave isolation_mode out")
    if tool.cli is not None:
        _check_cli(tool, mode)


def _check_cli(tool: Any, mode: str | None) -> None:
    cli = tool.cli
    if mode == "wasm":
        raise ValueError("isolation_mode wasm is not for cli: write type wasm and its module")
    if mode == "container" and cli.image is None:
        raise ValueError("isolation_mode container needs cli.image")
    if mode in ("none", "sandboxed") and cli.image is not None:
        raise ValueError(
            f"isolation_mode {mode} starts the program of this host: take cli.image out, or"
            " write isolation_mode: container"
        )
    if mode == "none" and cli.network == "none":
        raise ValueError(
            "without a sandbox a program has the network of its host: take isolation_mode none"
            " or cli.network none out"
        )
    if cli.working_dir is not None:
        _check_folder(tool, cli.working_dir)


def _check_folder(tool: Any, folder: str) -> None:
    absolute = folder.startswith("/")
    if ".." in folder.split("/"):
        raise ValueError("cli.working_dir: take `..` out")
    if in_container(tool) and not absolute:
        raise ValueError("cli.working_dir of a container begins with /")
    if absolute and not in_container(tool) and tool.runtime.isolation_mode != "none":
        raise ValueError(
            "cli.working_dir in the sandbox is a folder inside tools.files: write it without"
            " the / at its beginning"
        )
