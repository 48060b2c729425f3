"""What is valid and still deserves a word: what a manifest cannot promise by itself. Pure.

A manifest that promises more than the runner keeps must not pass in silence.
"""

import re
from collections.abc import Iterator
from typing import Final

from reconciler.manifest.document import Path
from runner.contract.kinds import (
    Agent,
    McpServer,
    ModelEndpoint,
    RetentionPolicy,
    Secret,
    Spec,
    Tool,
    tool_fields,
)
from runner.contract.kinds.retention_policy import FLOORS, days
from runner.contract.kinds.tool_program import Cli

_HALF_YEAR: Final = days(FLOORS["eu-ai-act"][0])
_FETCHERS: Final = frozenset({"npx", "npm", "pnpx", "bunx", "uvx", "pipx"})
_PASSWORD: Final = re.compile(r"://[^/?#@]*:[^/?#@]+@")


def cautions(spec: Spec) -> Iterator[tuple[Path, str]]:
    """Canonical paths of a spec, each with what one should know about it."""
    match spec:
        case Agent(memory=use) if use.ref is not None and not use.allow:
            words = "`memory`: without `allow` the agent has none of its tools"
            yield ("spec", "memory"), words
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
    yield from _isolation(tool)
    if tool.cli is not None:
        yield from _cli(tool.cli)
    if tool.type == "wasm" and (tool.wasm is None or tool.wasm.sha256 is None):
        place = ("spec", "type") if tool.wasm is None else ("spec", "wasm")
        words = "`wasm.sha256`: none is pinned, so whatever the host has there is run"
        yield place, words
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
    if tool.runtime.isolation_mode is not None and tool.type in tool_fields.ASKED:
        words = f"`isolation_mode`: a tool of type {tool.type} starts no program"
        yield ("spec", "runtime", "isolation_mode"), f"{words}; it changes nothing"


def _cli(cli: Cli) -> Iterator[tuple[Path, str]]:
    if cli.image is not None:
        yield (
            ("spec", "cli", "image"),
            "`image`: it runs where the host's tools.container and tools.images allow it; on"
            " other hosts calls are denied",
        )
        if "@sha256:" not in cli.image:
            words = (
                "`image`: a tag can be moved to another image; name it by its @sha256: digest"
            )
            yield ("spec", "cli", "image"), words
    if cli.image is not None and cli.network is None:
        words = "`network`: none is given where none is said; write bridge if it needs one"
        yield ("spec", "cli"), words


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
