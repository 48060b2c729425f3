"""The ways to run a tool: one module per type, imported when a task first needs it.

Nothing here decides: `guard` calls these after the decision is durable. A tool gets its
own secret and no other, an idempotency key, and bounds on time and output.
"""

import asyncio
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from runner import sandbox
from runner.contract import seal
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Permission, Tool
from runner.contract.kinds.base import seconds
from runner.contract.kinds.tool_fields import ASKED
from runner.tools.mcp_server import Server
from runner.tools.mcp_sessions import McpSessions
from runner.tools.sources import Source

_SCHEMAS: Final = "runner.contract.input_schema"
_MODULES: Final = {
    "http": "runner.tools.http",
    "external": "runner.tools.external",
    "webhook-callback": "runner.tools.webhook_callback",
    "grpc": "runner.tools.grpc",
    "command": "runner.tools.command",
    "python": "runner.tools.python",
    "sql": "runner.tools.sql",
    "mcp": "runner.tools.mcp",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What tools may touch on this host."""

    files: Path
    commands: tuple[str, ...]
    output_bytes_max: int
    memory: Path = Path("memory")
    memory_entries_max: int = 10_000
    memory_value_bytes_max: int = 65_536
    servers: Path | None = None
    """Where MCP servers have their folders; None: beside the files."""

    @property
    def servers_folder(self) -> Path:
        """The folder that each MCP server has one of its own in."""
        return self.servers or self.files.parent / "mcp"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls what, for tools that want to know: names of resources, and the task."""

    task: str = ""
    namespace: str = ""
    agent: str = ""
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What a call brings along besides its arguments. The key is stable over attempts."""

    idempotency_key: str
    secret: str | None = field(repr=False)
    bounds: Bounds
    hidden: tuple[str, ...] = ()
    """The secret values of the task, which no answer may hold."""
    permissions: tuple[Permission, ...] = ()
    """What the call needs, with its arguments filled in; all of it was allowed."""
    sources: Mapping[str, Source] = field(default_factory=dict)
    """The data sources that these permissions name."""
    caller: Caller = Caller()
    attempt: int = 1
    """Which try of this call it is, from 1."""
    server: Server | None = None
    """The MCP server of a tool of that type."""
    sessions: McpSessions = field(default_factory=McpSessions)
    """The sessions with MCP servers that the worker keeps."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a tool said, and how far it was kept apart; None: nothing was started here.

    `tokens` are those that a model was given for it, as one that embeds.
    """

    text: str
    isolation: str | None = None
    tokens: int = 0
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """What the text may not hold besides the secrets of the task: a token, a password."""


def misfit(tool: Tool, arguments: Mapping[str, Any]) -> dict[str, str] | None:
    """Why arguments are not what the tool takes: `code`, `said` and `rule`; None: they are."""
    if not tool.input_schema:
        return None
    # Its library takes 80 ms to load: a worker without such tools does without.
    schemas = importlib.import_module(_SCHEMAS)
    try:
        found = schemas.misfit(tool.input_schema, arguments)
    except schemas.Unusable as error:
        said = f"the tool's input_schema cannot be used: {error}"
        return {"code": ToolCode.RUNTIME_POLICY_INVALID, "said": said, "rule": "/"}
    if found is None:
        return None
    said = f"invalid input at {found.said}"
    return {"code": ToolCode.INVALID_INPUT, "said": said, "rule": found.rule}


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """What the tool answered; ToolFailed."""
    if tool.auth is not None and call.secret is None:
        raise ToolFailed(
            "the tool's secret has no value here; check spec.auth.secretRef, its Secret on this"
            " host and, for one of another namespace, its allowedNamespaces",
            code=ToolCode.SECRET_RESOLUTION_FAILED,
        )
    module = importlib.import_module(_MODULES[tool.type])
    limit_s = seconds(tool.runtime.timeout)
    try:
        async with asyncio.timeout(limit_s):
            answered: Answered = await module.call(tool, arguments, call)
    except TimeoutError:
        raise ToolFailed(
            f"no answer within runtime.timeout ({tool.runtime.timeout})",
            code=ToolCode.TIMEOUT,
            retryable=True,
            isolation=_isolation(tool, call.server),
        ) from None
    hidden = (*call.hidden, *answered.hidden)
    text = _bounded(answered.text, call.bounds.output_bytes_max, hidden)
    return replace(answered, text=text)


def may_be_bare(tool: Tool) -> bool:
    """Whether the manifest says that the tool needs no sandbox; ToolFailed for what we lack."""
    mode = tool.runtime.isolation_mode
    if mode in {"container", "wasm"}:
        raise ToolFailed(
            f"runtime.isolation_mode {mode} cannot be given yet; leave it out for the sandbox"
            " of this host",
            code=ToolCode.ISOLATION_UNAVAILABLE,
        )
    return mode == "none"


def _isolation(tool: Tool, server: Server | None) -> str | None:
    """The level of a call that did not live to tell."""
    if tool.type in ASKED:
        return None
    if server is not None:
        if server.spec.transport == "http":
            return None
        bare = server.spec.default_tool_runtime.isolation_mode == "none"
        return sandbox.Level.NONE if bare else sandbox.available().level
    return sandbox.Level.NONE if may_be_bare(tool) else sandbox.available().level


def _bounded(answer: str, limit: int, hidden: tuple[str, ...]) -> str:
    data = answer.encode("utf-8", "replace")
    if len(data) <= limit:
        return seal.redact(data.decode(), hidden)
    # Cut by characters first: a byte limit never keeps more of them than that.
    data = seal.excerpt(data.decode(), limit, hidden).encode()
    kept = data[:limit].decode("utf-8", "ignore")
    return f"{kept}\n[cut after {limit} bytes]"
