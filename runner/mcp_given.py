"""What the MCP server of a tool is given for a call: its own values, and no others. Pure."""

from collections.abc import Callable

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Key, Tool
from runner.contract.kinds.base import SecretAuth
from runner.contract.kinds.mcp_server import inherited
from runner.manifest_set import ManifestSet, PlacedTool
from runner.tools import Call
from runner.tools.mcp_server import Server

Value = Callable[[SecretAuth | None, str], str | None]
"""The value of a Secret for a resource of a namespace; None when it has none here."""


def server(
    manifests: ManifestSet, tool: PlacedTool, call: Call, value: Value
) -> tuple[Tool, Server | None]:
    """The tool with its server's bounds, and the server; ToolFailed without a value."""
    found = manifests.mcp_server(tool)
    if found is None:
        return tool.spec, None
    key, spec = found
    environment = {}
    for variable in spec.env:
        plain = variable.value
        environment[variable.name] = (
            _valued(variable.auth, key, value) if plain is None else plain
        )
    secret = None if spec.auth is None else _valued(spec.auth, key, value)
    given = Server(key, spec, call.caller.namespace, environment, secret, call.hidden)
    return inherited(tool.spec, spec), given


def _valued(auth: SecretAuth | None, server: Key, value: Value) -> str:
    assert auth is not None
    found = value(auth, server.namespace)
    if found is None:
        raise ToolFailed(
            f"the Secret {auth.secret_ref} of the MCP server {server.name} has no value here;"
            " check its Secret on this host and, for one of another namespace, its"
            " allowedNamespaces",
            code=ToolCode.SECRET_RESOLUTION_FAILED,
        )
    return found
