"""Tool: something an agent may call, how it is run, and which permission a call needs."""

import re
from collections.abc import Callable
from typing import Any, Final, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from runner.contract.kinds import tool_fields, tool_isolation
from runner.contract.kinds.base import (
    Duration,
    Key,
    Permission,
    Reference,
    Spec,
    Strict,
    Text,
    named,
)
from runner.contract.kinds.network import ANYWHERE, Network, endpoint
from runner.contract.kinds.tool_auth import ToolAuth
from runner.contract.kinds.tool_program import Cli, Wasm

OperationClass = Literal["read", "write", "delete", "admin"]


class RetryPolicy(Strict):
    """When to try again: a failure that may pass, of a call that may be repeated.

    Waits grow from `backoff` to `max_backoff`.
    """

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
    cli: Cli | None = None
    wasm: Wasm | None = None

    mcp_server_ref: str | None = None
    mcp_tool_name: str | None = None
    schema_digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    capabilities: list[str] = []
    operation_classes: list[OperationClass] = []
    risk_level: Literal["low", "medium", "high", "critical"] = "low"
    runtime: ToolRuntime = ToolRuntime()
    auth: ToolAuth | None = None

    @field_validator("operation_classes", mode="before")
    @classmethod
    def _classes(cls, classes: Any) -> Any:
        return tool_fields.once(classes, fold=True) if isinstance(classes, list) else classes

    @field_validator("capabilities", mode="before")
    @classmethod
    def _capabilities(cls, names: Any) -> Any:
        return tool_fields.once(names, fold=False) if isinstance(names, list) else names

    @model_validator(mode="after")
    def _templates(self) -> Self:
        for permission in self.requires:
            template_arguments(permission.resource)
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        tool_fields.check(self)
        tool_isolation.check(self)
        needed = {"command": "command", "python": "function", "cli": "cli"}
        needed |= dict.fromkeys(tool_fields.ASKED, "endpoint")
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
        if self.endpoint is not None:
            _check_place(self.type, self.endpoint, self.network)
        return self

    def references(self, namespace: str) -> list[Reference]:
        """The Secrets and the McpServer it names."""
        found: list[Reference] = []
        if self.auth is not None:
            key, _ = self.auth.secret(namespace)
            found.append(Reference(key, ("spec", "auth", "secretRef"), required=False))
        for index, variable in enumerate(self.cli.env_from if self.cli else []):
            key, _ = variable.auth.secret(namespace)
            path = ("spec", "cli", "env_from", index, "secretRef")
            found.append(Reference(key, path, required=False))
        if self.mcp_server_ref is not None:
            target: Key = named("McpServer", self.mcp_server_ref, namespace)
            found.append(Reference(target, ("spec", "mcp_server_ref"), required=False))
        return found


def _check_place(type: str, text: str, network: Network) -> None:
    """ValueError unless a tool of this type can be asked at its endpoint."""
    if type == "http":
        _check_endpoint(text, network)
    elif type in tool_fields.ENVELOPED:
        if "{" in endpoint(text).path + endpoint(text).query:
            raise ValueError(f"{type} sends the arguments in its body: no template stands here")
    elif type == "grpc":
        tool_fields.grpc_place(text)
        if network.redirects is not None:
            raise ValueError("network.redirects is for http: grpc has none")


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
