"""What is valid and still deserves a word: fields that are read and not yet acted on. Pure.

A manifest that promises more than the runner keeps must not pass in silence. Each line
here goes when the part it speaks of is built.
"""

import re
from collections.abc import Iterator
from typing import Final

from reconciler.manifest.document import Path
from runner.contract.kinds import (
    McpServer,
    ModelEndpoint,
    RetentionPolicy,
    Secret,
    Spec,
    Tool,
    tool_fields,
)
from runner.contract.kinds.retention_policy import FLOORS, days

_HALF_YEAR: Final = days(FLOORS["eu-ai-act"][0])
_NOT_GIVEN: Final = frozenset({"container", "wasm"})
_TOOLS_RUN: Final = tool_fields.ASKED | {"command", "python", "sql", "mcp"}
_FETCHERS: Final = frozenset({"npx", "npm", "pnpx", "bunx", "uvx", "pipx"})
_PASSWORD: Final = re.compile(r"://[^/?#@]*:[^/?#@]+@")


def cautions(spec: Spec) -> Iterator[tuple[Path, str]]:
    """Canonical paths of a spec, each with what one should know about it."""
    match spec:
        case Tool():
            yield from _tool(spec)
        case McpServer():
            yield from _mcp_server(spec)
        case ModelEndpoint():
            yield from _open_password("base_url", spec.base_url)
        case Secret():
            yield from _secret(spec)
        case RetentionPolicy(keep=keep) if keep.entries and days(keep.entries) < _HALF_YEAR:
            words = f"`entries`: {keep.entries} is less than the 6 months of the EU AI Act"
            yield ("spec", "keep", "entries"), words


def _tool(tool: Tool) -> Iterator[tuple[Path, str]]:
    if tool.type not in _TOOLS_RUN:
        message = f"`type`: a tool of type {tool.type} cannot be run yet; calls are denied"
        yield ("spec", "type"), message
    yield from _isolation(tool)
    if tool.capabilities and tool.requires and tool.type not in tool_fields.TOLD:
        words = "`capabilities`: with `requires` they decide nothing, and nobody is told them"
        yield ("spec", "capabilities"), words
    yield from _open_password("endpoint", tool.endpoint)


def _mcp_server(server: McpServer) -> Iterator[tuple[Path, str]]:
    program = (server.command or "").rpartition("/")[2]
    if program in _FETCHERS and not server.network.hosts:
        yield (
            ("spec", "command"),
            f"`command`: {program} fetches what it runs, and has no network in the sandbox;"
            " install the server and name it, or give it `network: {hosts: ['*']}`",
        )
    yield from _open_password("endpoint", server.endpoint)


def _isolation(tool: Tool) -> Iterator[tuple[Path, str]]:
    mode = tool.runtime.isolation_mode
    if mode is None:
        return
    path = ("spec", "runtime", "isolation_mode")
    if tool.type in tool_fields.ASKED:
        words = f"`isolation_mode`: a tool of type {tool.type} starts no program"
        yield path, f"{words}; it changes nothing"
    elif mode in _NOT_GIVEN:
        yield path, f"`isolation_mode`: {mode} cannot be given yet; calls fail"


def _open_password(field: str, url: str | None) -> Iterator[tuple[Path, str]]:
    if url is not None and _PASSWORD.search(url):
        message = f"`{field}`: a password stands here in the open; name a Secret under auth"
        yield ("spec", field), message


def _secret(secret: Secret) -> Iterator[tuple[Path, str]]:
    for field, values in (("stringData", secret.string_data), ("data", secret.data)):
        if values:
            message = (
                f"`{field}`: secret value stands in Git; seal it, or use fromEnv or fromFile"
            )
            yield ("spec", field), message
            return
