"""Tool: something an agent may call, how it is run, and which permission a call needs."""

import re
from collections.abc import Callable
from typing import Any, Final, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from runner.contract.kinds.base import (
    Duration,
    Key,
    Permission,
    Reference,
    SecretAuth,
    Spec,
    Strict,
    Text,
    named,
)
from runner.contract.kinds.network import ANYWHERE, Network, endpoint

OperationClass = Literal["read", "write", "delete", "admin"]


class RetryPolicy(Strict):
    """When to try again. Waits grow from `backoff` to `max_backoff`."""

    max_attempts: int = Field(default=1, ge=1, le=100)
    backoff: Duration = "0s"
    max_backoff: Duration = "30s"
    jitter: Literal["none", "full", "equal", "decorrelated"] = "none"


class ToolRuntime(Strict):
    """How a call is bounded. Programs and functions run in a sandbox unless `none` says not."""

    timeout: Duration = "30s"
    isolation_mode: Literal["none", "sandboxed", "container", "wasm"] | None = Field(
        default=None,
        validation_alias=AliasChoices("isolation_mode", "isolationMode", "isolation"),
        serialization_alias="isolation_mode",
    )
    memory_mb: int = Field(default=512, ge=16, le=65_536)
    processes: int = Field(default=32, ge=1, le=4096)
    retry: RetryPolicy = RetryPolicy()


class ToolAuth(SecretAuth):
    """How a call proves who it is."""

    profile: Literal["bearer", "api_key_header", "basic", "oauth2_client_credentials"] = (
        "bearer"
    )
    header_name: str | None = Field(
        default=None,
        validation_alias=AliasChoices("headerName", "header_name"),
        serialization_alias="headerName",
    )
    token_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("tokenURL", "token_url", "tokenUrl"),
        serialization_alias="tokenURL",
    )
    scopes: list[str] = []


class ToolLimits(Strict):
    """How often a tool may be called, by all agents together."""

    max_calls_per_minute: int | None = Field(default=None, gt=0)


_TEMPLATE: Final = re.compile(r"\{args((?:\.[A-Za-z_][\w-]*)+)\}")


def template_arguments(text: str) -> list[tuple[str, ...]]:
    """The arguments that a text names as `{args.name}`, each as a path; ValueError."""
    if "{" in _TEMPLATE.sub("", text) or "}" in _TEMPLATE.sub("", text):
        raise ValueError("a template is written {args.name}, with the name of an argument")
    return [tuple(path[1:].split(".")) for path in _TEMPLATE.findall(text)]


def fill_template(text: str, value: Callable[[tuple[str, ...]], str]) -> str:
    """The text with each `{args.name}` replaced by the value of that path."""
    return _TEMPLATE.sub(lambda match: value(tuple(match[1][1:].split("."))), text)


def whole_template(text: str) -> bool:
    """Whether a text is one template and nothing besides."""
    return _TEMPLATE.fullmatch(text) is not None


class Tool(Spec):
    """A tool. `requires` is what a call needs; a tool that declares nothing is denied.

    In `requires` and `endpoint`, `{args.name}` stands for an argument of the call. `reads`,
    `ingests` and `egress` say what data flows through it: the plan looks along hand-offs for
    paths on which private data, untrusted input and a way out come together.
    """

    type: Literal[
        "http",
        "command",
        "python",
        "external",
        "grpc",
        "queue",
        "webhook-callback",
        "mcp",
        "wasm",
        "cli",
        "sql",
    ] = "http"
    description: Text = ""
    input_schema: dict[str, Any] = {}
    requires: list[Permission] = []
    reads: list[str] = []
    ingests: Literal["trusted", "untrusted"] | None = None
    egress: Literal["none", "internal", "external"] | None = None
    network: Network = Network()
    limits: ToolLimits = ToolLimits()
    idempotent: bool = False

    endpoint: str | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    command: list[str] = []
    function: str | None = None
    config: dict[str, Any] = {}

    mcp_server_ref: str | None = None
    mcp_tool_name: str | None = None
    schema_digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    capabilities: list[str] = []
    operation_classes: list[OperationClass] = []
    risk_level: Literal["low", "medium", "high", "critical"] = "low"
    runtime: ToolRuntime = ToolRuntime()
    auth: ToolAuth | None = None

    @model_validator(mode="after")
    def _templates(self) -> Self:
        for permission in self.requires:
            template_arguments(permission.resource)
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"http": "endpoint", "command": "command", "python": "function"}
        field = needed.get(self.type)
        if field is not None and not getattr(self, field):
            raise ValueError(f"a tool of type {self.type} needs {field}")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        anywhere = self.network.hosts == [ANYWHERE]
        if self.type in ("command", "python"):
            if self.network.hosts and not anywhere:
                raise ValueError(
                    "network.hosts of a program is empty or `*`: it cannot be held to names"
                )
        elif anywhere:
            raise ValueError("only a program can be given the whole network, `*`; name hosts")
        if self.type == "http" and self.endpoint is not None:
            _check_endpoint(self.endpoint, self.network)
        return self

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        _check_mcp(self)
        return self

    def references(self, namespace: str) -> list[Reference]:
        """The Secret and the McpServer it names."""
        found: list[Reference] = []
        if self.auth is not None:
            key, _ = self.auth.secret(namespace)
            found.append(Reference(key, ("spec", "auth", "secretRef"), required=False))
        if self.mcp_server_ref is not None:
            target: Key = named("McpServer", self.mcp_server_ref, namespace)
            found.append(Reference(target, ("spec", "mcp_server_ref"), required=False))
        return found


def _check_mcp(tool: Tool) -> None:
    """ValueError unless a tool of an MCP server is pinned, and says only what is its own."""
    fields = ("mcp_server_ref", "mcp_tool_name", "schema_digest")
    given = [field for field in fields if getattr(tool, field) is not None]
    if tool.type != "mcp":
        if given:
            raise ValueError(f"{given[0]} belongs to a tool of type mcp")
        return
    if len(given) < len(fields):
        raise ValueError(
            "a tool of type mcp is pinned to what its server offers: mcp_server_ref,"
            f" mcp_tool_name and schema_digest. Write it: orloj mcp pin"
            f" {tool.mcp_server_ref or 'SERVER'}"
        )
    own = Tool.model_fields
    for field in ("endpoint", "command", "function", "config", "auth", "network"):
        if getattr(tool, field) != own[field].default:
            raise ValueError(f"{field} of a tool of type mcp stands at its McpServer")
    bounds = tool.runtime
    if bounds != ToolRuntime(timeout=bounds.timeout, retry=bounds.retry):
        raise ValueError(
            "the program of a tool of type mcp is its McpServer's: isolation, memory and"
            " processes stand there, under default_tool_runtime"
        )


def _check_endpoint(text: str, network: Network) -> None:
    """ValueError unless a call knows where to go and arguments stand where they may."""
    template_arguments(text)
    if whole_template(text):
        if not network.hosts:
            raise ValueError(
                f"the endpoint {text} may be any address: network.hosts must name the hosts"
            )
        return
    origin = re.match(r"[^/]*//[^/?#]*", text)
    fragment = text.partition("#")[2]
    if _TEMPLATE.search((origin[0] if origin else "") + fragment):
        raise ValueError("in an endpoint, a template stands in the path or the query")
    for pair in endpoint(text).query.split("&"):
        if _TEMPLATE.search(pair.partition("=")[0]):
            raise ValueError("in a query, a template stands for a value: name={args.name}")
