"""What the program of a `cli` tool is given out of Secrets: its own values, no others. Pure."""

from runner.contract.errors import ToolCode, ToolFailed
from runner.manifest_set import PlacedTool
from runner.mcp_given import Value


def environment(tool: PlacedTool, value: Value) -> dict[str, str]:
    """The variables by name; ToolFailed where a Secret has no value here."""
    found = {}
    for variable in tool.spec.cli.env_from if tool.spec.cli else ():
        text = value(variable.auth, tool.key.namespace)
        if text is None:
            raise ToolFailed(
                f"the Secret {variable.secret_ref} for the variable {variable.name} has no"
                " value here; check cli.env_from, its Secret on this host and, for one of"
                " another namespace, its allowedNamespaces",
                code=ToolCode.SECRET_RESOLUTION_FAILED,
            )
        found[variable.name] = text
    return found
