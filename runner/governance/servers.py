"""Why a tool of an MCP server cannot be called: no pin, no server, or its filter. Pure."""

from runner.contract.errors import ToolCode
from runner.contract.kinds import Permission
from runner.contract.kinds.mcp_server import server_of
from runner.governance.verdict import Verdict, deny
from runner.manifest_set import ManifestSet, PlacedAgent, PlacedTool


def undeclared(manifests: ManifestSet, agent: PlacedAgent, tool: str) -> str:
    """Why there is no such tool, and what makes one of what an MCP server offers."""
    server = server_of(tool, agent.key.namespace)
    if server is None or server not in manifests.resources:
        return f"the tool {tool} is not declared"
    return (
        f"the tool {tool} of the MCP server {server.name} is not pinned;"
        f" orloj mcp pin {server.name} writes its manifest, to be reviewed and committed"
    )


def not_offered(
    manifests: ManifestSet, tool: PlacedTool, needs: tuple[Permission, ...]
) -> Verdict | None:
    """A denial when the tool's MCP server is not declared, or does not let it through."""
    ref, name = tool.spec.mcp_server_ref, tool.spec.mcp_tool_name or ""
    found = manifests.mcp_server(tool)
    if found is None:
        reason, at = f"the MCP server {ref} is not declared", "/spec/mcp_server_ref"
        return deny(reason, tool.at(at), needs, ToolCode.UNSUPPORTED_TOOL)
    key, server = found
    if server.tool_filter.lets(name):
        return None
    at = manifests.resources[key].at("/spec/tool_filter/include")
    return deny(f"the MCP server {ref} leaves out {name} (tool_filter.include)", at, needs)
