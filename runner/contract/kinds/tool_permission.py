"""ToolPermission: what calls of a tool need besides what the tool itself declares."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds.agent_role import PublicPermission
from runner.contract.kinds.base import Permission, Spec, Strict

OperationClass = Literal["read", "write", "delete", "admin", "*"]

INVOKE: Final = "invoke"


class OperationRule(Strict):
    """What happens to calls of a class; the most restrictive of several rules counts."""

    operation_class: OperationClass = "*"
    verdict: Literal["allow", "deny", "approval_required"] = "allow"


class ToolPermission(Spec):
    """A rule on a tool, of its namespace. Without `tool_ref` the tool is named like it."""

    tool_ref: str | None = Field(default=None, min_length=1)
    action: str = Field(default=INVOKE, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    required_permissions: list[PublicPermission] = []
    match_mode: Literal["all", "any"] = "all"
    apply_mode: Literal["global", "scoped"] = "global"
    target_agents: list[str] = []
    operation_rules: list[OperationRule] = []

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        if self.action != INVOKE and self.required_permissions:
            raise ValueError(
                "`action` says what is needed only where required_permissions is empty; remove"
                " one of them"
            )
        if self.apply_mode == "scoped" and not self.target_agents:
            raise ValueError("apply_mode scoped needs target_agents: the rule speaks of nobody")
        if self.apply_mode == "global" and self.target_agents:
            raise ValueError("target_agents needs apply_mode: scoped; global means every agent")
        return self

    def needs(self, tool: str) -> tuple[Permission, ...]:
        """What a call of the tool needs by this rule."""
        if self.action != INVOKE:
            return (Permission.of("tool", f"{tool}:{self.action}"),)
        return tuple(self.required_permissions)
