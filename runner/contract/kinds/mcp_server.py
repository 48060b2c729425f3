"""McpServer: a server of the Model Context Protocol whose tools agents may call.

    stdio    a program of this host: in the sandbox, with the environment that `env` names
    http     an address: through the rules of the way out, as http tools

It hands out nothing by itself: what may be called are the Tools that `orloj mcp pin` writes
from what the server offers, and that somebody committed.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from runner.contract.kinds.base import Duration, Key, Reference, SecretAuth, Spec, Strict, named
from runner.contract.kinds.network import ANYWHERE, Network, endpoint
from runner.contract.kinds.tool import Tool, ToolRuntime
from runner.contract.kinds.variable_name import VariableName

DIVIDER: Final = "--"
"""Between the names of a server and its tool in the name of a Tool: `files--read_file`."""


def _no_container(value: str | None) -> str | None:
    if value is not None:
        raise ValueError(
            "an MCP server is not started in a container: name its program (command and args),"
            " which runs in the sandbox of this host"
        )
    return value


def _no_mount(value: str | None) -> str | None:
    if value is not None:
        raise ValueError(
            "there is no container to show a file in: take mountPath out, and the variable"
            " holds the value"
        )
    return value


class McpVariable(Strict):
    """A variable of the server's environment: its `value`, or the Secret that holds it."""

    name: VariableName
    value: str | None = None
    secret_ref: str | None = Field(
        default=None,
        validation_alias=AliasChoices("secretRef", "secret_ref"),
        serialization_alias="secretRef",
        min_length=1,
    )
    mount_path: Annotated[str | None, AfterValidator(_no_mount)] = Field(
        default=None,
        validation_alias=AliasChoices("mountPath", "mount_path"),
        serialization_alias="mountPath",
    )

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if (self.value is None) == (self.secret_ref is None):
            raise ValueError("a variable needs exactly one of value and secretRef")
        if "\x00" in (self.value or ""):
            raise ValueError("a variable holds no zero byte")
        return self

    @property
    def auth(self) -> SecretAuth | None:
        """The Secret that its value is taken from; None for a plain value."""
        return None if self.secret_ref is None else SecretAuth(secret_ref=self.secret_ref)


class McpAuth(SecretAuth):
    """How we prove to an http server who we are."""

    profile: Literal["bearer", "api_key_header"] = "bearer"
    header_name: str | None = Field(
        default=None,
        validation_alias=AliasChoices("headerName", "header_name"),
        serialization_alias="headerName",
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    )

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.header_name is not None and self.profile != "api_key_header":
            raise ValueError("headerName belongs to the profile api_key_header")
        return self


class ToolFilter(Strict):
    """Which tools of the server there are for us; none named, all of them."""

    include: list[str] = []

    def lets(self, tool: str) -> bool:
        """Whether a tool of the server may be called at all."""
        return not self.include or tool in self.include


class Reconnect(Strict):
    """How often a server that cannot be reached is tried again, and after which wait."""

    max_attempts: int = Field(default=3, ge=0, le=100)
    backoff: Duration = "2s"


class McpServer(Spec):
    """A server of tools. `default_tool_runtime` bounds the program and, by pins, its tools.

    `network` is ours: for http more hosts and private networks, for stdio `hosts: ["*"]`
    where the program needs the network at all. `idle_timeout: 0s` keeps a server as long as
    its worker.
    """

    transport: Literal["stdio", "http"]
    command: str | None = Field(default=None, min_length=1)
    args: list[str] = []
    env: list[McpVariable] = []
    image: Annotated[str | None, AfterValidator(_no_container)] = None
    image_pull_secret: Annotated[str | None, AfterValidator(_no_container)] = None
    endpoint: str | None = None
    auth: McpAuth | None = None
    network: Network = Network()
    tool_filter: ToolFilter = ToolFilter()
    reconnect: Reconnect = Reconnect()
    idle_timeout: Duration = "0s"
    default_tool_runtime: ToolRuntime = ToolRuntime()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Each transport has what it needs, and nothing that it would leave unread."""
        program, away = ("command", "args", "env"), ("endpoint", "auth")
        needed, foreign = (
            ("command", away) if self.transport == "stdio" else ("endpoint", program)
        )
        if not getattr(self, needed):
            raise ValueError(f"transport {self.transport} needs {needed}")
        for field in foreign:
            if getattr(self, field):
                raise ValueError(f"transport {self.transport} has no {field}: take it out")
        names = [variable.name for variable in self.env]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"env names {', '.join(sorted(twice))} twice")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        anywhere = self.network.hosts == [ANYWHERE]
        if self.transport == "http":
            if anywhere:
                raise ValueError("only a program can be given the whole network, `*`")
            assert self.endpoint is not None
            place = endpoint(self.endpoint)
            if place.user is not None:
                raise ValueError("a password does not stand in the address: use auth.secretRef")
        elif self.network.hosts and not anywhere:
            raise ValueError(
                "network.hosts of a program is empty or `*`: it cannot be held to names"
            )
        if self.network.redirects is not None:
            raise ValueError("an MCP server is not followed elsewhere: take redirects out")
        return self

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        runtime = self.default_tool_runtime
        if runtime.isolation_mode in {"container", "wasm"}:
            raise ValueError(
                f"isolation_mode {runtime.isolation_mode} cannot be given to an MCP server;"
                " leave it out for the sandbox of this host"
            )
        if self.transport == "http" and runtime != ToolRuntime(
            timeout=runtime.timeout, retry=runtime.retry
        ):
            raise ValueError(
                "transport http starts no program: of default_tool_runtime only timeout and"
                " retry say something"
            )
        return self

    def references(self, namespace: str) -> list[Reference]:
        """The Secrets that it names."""
        found = []
        for index, variable in enumerate(self.env):
            if variable.auth is not None:
                key, _ = variable.auth.secret(namespace)
                path = ("spec", "env", index, "secretRef")
                found.append(Reference(key, path, required=False))
        if self.auth is not None:
            key, _ = self.auth.secret(namespace)
            found.append(Reference(key, ("spec", "auth", "secretRef"), required=False))
        return found

    def secrets(self, namespace: str) -> list[tuple[Key, str]]:
        """Every Secret entry that it is given."""
        named_ones = [*(variable.auth for variable in self.env), self.auth]
        return [auth.secret(namespace) for auth in named_ones if auth is not None]


def inherited(tool: Tool, server: McpServer) -> Tool:
    """A tool with the bounds of its server wherever it says nothing of its own."""
    own, theirs, nothing = tool.runtime, server.default_tool_runtime, ToolRuntime()
    runtime = ToolRuntime(
        timeout=theirs.timeout if own.timeout == nothing.timeout else own.timeout,
        retry=theirs.retry if own.retry == nothing.retry else own.retry,
    )
    return tool.model_copy(update={"runtime": runtime})


def server_of(tool: str, namespace: str) -> Key | None:
    """The McpServer that the name of a Tool speaks of, `server--tool`; None: of none."""
    key = named("Tool", tool, namespace)
    server, divider, rest = key.name.partition(DIVIDER)
    return Key(key.namespace, "McpServer", server) if server and divider and rest else None
