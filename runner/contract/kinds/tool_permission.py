"""ToolPermission: what calls of a tool need besides what the tool itself declares."""

from typing import Literal

from pydantic import Field

from runner.contract.kinds.agent_role import PublicPermission
from runner.contract.kinds.base import Spec, Strict

OperationClass = Literal["read", "write", "delete", "admin", "*"]


class OperationRule(Strict):
    """What happens to calls of a class; the most restrictive of several rules counts."""

    operation_class: OperationClass = "*"
    verdict: Literal["allow", "deny", "approval_required"] = "allow"


class ToolPermission(Spec):
    """A rule on a tool, of its namespace. Without `tool_ref` the tool is named like it."""

    tool_ref: str | None = Field(default=None, min_length=1)
    action: str = "invoke"
    required_permissions: list[PublicPermission] = []
    match_mode: Literal["all", "any"] = "all"
    apply_mode: Literal["global", "scoped"] = "global"
    target_agents: list[str] = []
    operation_rules: list[OperationRule] = []
