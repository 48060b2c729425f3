"""AgentPolicy: what agents may not do, whatever else is granted."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds.base import Spec

CHILD_DEPTH: Final = 5
"""How deep tasks may queue tasks where no policy says otherwise."""
CHILD_TASKS: Final = 20
"""How many a task may queue then."""


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

    @model_validator(mode="after")
    def _speaks_of_somebody(self) -> Self:
        named = self.target_systems or self.target_tasks or self.target_agents
        if self.apply_mode == "global" and named:
            raise ValueError("targets need apply_mode: scoped; global means everybody")
        if self.apply_mode == "scoped" and not named:
            raise ValueError(
                "a scoped policy names target_systems, target_tasks or target_agents: this one"
                " binds nobody; write apply_mode: global for everybody"
            )
        return self

    @property
    def child_depth(self) -> int:
        """How deep tasks may queue tasks under this policy alone."""
        return CHILD_DEPTH if self.max_child_depth is None else self.max_child_depth

    @property
    def child_tasks(self) -> int:
        """How many a task may queue under this policy alone."""
        return CHILD_TASKS if self.max_child_tasks is None else self.max_child_tasks
