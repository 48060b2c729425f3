"""AgentPolicy: what agents may not do, whatever else is granted."""

from typing import Literal

from pydantic import Field

from runner.contract.kinds.base import Spec


class AgentPolicy(Spec):
    """A policy. `scoped` names what it applies to and nothing else; `global` is everywhere.

    Targets are names, in any namespace, and compared without regard to case.
    """

    max_tokens_per_run: int | None = Field(default=None, gt=0)
    max_child_depth: int | None = Field(default=None, ge=0, le=100)
    max_child_tasks: int | None = Field(default=None, ge=0, le=1_000)
    allowed_models: list[str] = []
    blocked_tools: list[str] = []
    apply_mode: Literal["scoped", "global"] = "scoped"
    target_systems: list[str] = []
    target_tasks: list[str] = []
    target_agents: list[str] = []
