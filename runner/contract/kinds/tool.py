"""Tool: something an agent may call, how it is run, and which permission a call needs."""

from typing import Any, Literal, Self

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

OperationClass = Literal["read", "write", "delete", "admin"]


class RetryPolicy(Strict):
    """When to try again. Waits grow from `backoff` to `max_backoff`."""

    max_attempts: int = Field(default=1, ge=1, le=100)
    backoff: Duration = "0s"
    max_backoff: Duration = "30s"
    jitter: Literal["none", "full", "equal", "decorrelated"] = "none"


class ToolRuntime(Strict):
    """How a call is bounded."""

    timeout: Duration = "30s"
    isolation_mode: Literal["none", "sandboxed", "container", "wasm"] | None = None
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


class Tool(Spec):
    """A tool. `requires` is what a call needs; a tool that declares nothing is denied."""

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
    ] = "http"
    description: Text = ""
    input_schema: dict[str, Any] = {}
    requires: list[Permission] = []
    idempotent: bool = False

    endpoint: str | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    command: list[str] = []
    function: str | None = None
    config: dict[str, Any] = {}

    mcp_server_ref: str | None = None
    mcp_tool_name: str | None = None
    capabilities: list[str] = []
    operation_classes: list[OperationClass] = []
    risk_level: Literal["low", "medium", "high", "critical"] = "low"
    runtime: ToolRuntime = ToolRuntime()
    auth: ToolAuth | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"http": "endpoint", "command": "command", "python": "function"}
        field = needed.get(self.type)
        if field is not None and not getattr(self, field):
            raise ValueError(f"a tool of type {self.type} needs {field}")
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
