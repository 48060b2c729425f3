"""Which fields of a Tool act for which type. Pure.

A field that would be read and do nothing is an error: whoever wrote it expects something.
"""

from collections.abc import Iterable
from typing import Any, Final

from runner.contract.kinds import network
from runner.contract.kinds.network import Host

ASKED: Final = frozenset({"http", "external", "grpc", "webhook-callback"})
"""The types whose calls go out over the network and start nothing on this host."""
ENVELOPED: Final = frozenset({"external", "webhook-callback"})
TOLD: Final = ENVELOPED | {"grpc"}
"""The types whose servers are told what is known of the tool and of who calls it."""
_CHECKED: Final = ASKED | {"command", "python", "sql", "mcp"}
_ACTS_FOR: Final = {
    "endpoint": ASKED,
    "method": frozenset({"http"}),
    "command": frozenset({"command"}),
    "function": frozenset({"python"}),
    "config": frozenset({"python"}),
    "mcp_server_ref": frozenset({"mcp"}),
    "mcp_tool_name": frozenset({"mcp"}),
    "schema_digest": frozenset({"mcp"}),
    "auth": ASKED | {"command"},
}
_OF_PROGRAMS: Final = ("memory_mb", "processes")
REMOVED: Final = (
    "type queue was taken out of the public dialect with 0.6, and nothing would receive the"
    " call; write webhook-callback for a tool that answers late"
)


def check(tool: Any) -> None:
    """ValueError for a field that the tool's type has no use for."""
    if tool.type == "queue":
        raise ValueError(REMOVED)
    if tool.type not in _CHECKED:
        return
    for field in _ACTS_FOR:
        _acts(tool, field)
    if tool.type == "mcp":
        _check_pin(tool)
    for field in _OF_PROGRAMS:
        if tool.type in ASKED and _says(tool.runtime, field):
            raise ValueError(f"runtime.{field} is for programs, and this is {tool.type}")
    if tool.type == "command" and tool.auth is not None and tool.auth.profile != "bearer":
        raise ValueError(
            "a program is given its secret as TOOL_SECRET, whatever the profile; leave"
            " auth.profile out"
        )


def _check_pin(tool: Any) -> None:
    """ValueError unless a tool of an MCP server is pinned, and says only what is its own."""
    fields = ("mcp_server_ref", "mcp_tool_name", "schema_digest")
    if any(getattr(tool, field) is None for field in fields):
        raise ValueError(
            "a tool of type mcp is pinned to what its server offers: mcp_server_ref,"
            f" mcp_tool_name and schema_digest. Write it: orloj mcp pin"
            f" {tool.mcp_server_ref or 'SERVER'}"
        )
    if _says(tool, "network"):
        raise ValueError("network of a tool of type mcp stands at its McpServer")
    for field in (*_OF_PROGRAMS, "isolation_mode"):
        if _says(tool.runtime, field):
            raise ValueError(
                f"runtime.{field} of a tool of type mcp stands at its McpServer, under"
                " default_tool_runtime"
            )


def _acts(tool: Any, field: str) -> None:
    types = _ACTS_FOR[field]
    if tool.type not in types and _says(tool, field):
        fit = " and ".join(sorted(types))
        raise ValueError(f"{field} is for tools of type {fit}, and this is {tool.type}")


def grpc_place(text: str) -> tuple[bool, Host]:
    """Whether TLS is spoken there, and the host with its port; ValueError."""
    scheme, _, rest = text.rpartition("://")
    if scheme not in ("", "grpc", "grpcs"):
        raise ValueError("a grpc endpoint is host:port, with grpc:// before it for no TLS")
    found = network.host(rest)
    if found.below or found.port is None:
        raise ValueError("a grpc endpoint names one host and its port, as in tools.example:443")
    return scheme != "grpc", found


def once(values: Iterable[Any], fold: bool) -> list[Any]:
    """The texts without spaces around them, each once, whatever its case."""
    found: dict[Any, Any] = {}
    for value in values:
        if isinstance(value, str):
            text = value.strip()
            found.setdefault(text.lower(), text.lower() if fold else text)
        else:
            found.setdefault(repr(value), value)
    return list(found.values())


def _says(part: Any, field: str) -> bool:
    default = type(part).model_fields[field].default
    return field in part.model_fields_set and getattr(part, field) != default
