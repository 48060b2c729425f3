"""Agent: a model with a prompt, the tools it may pick, and the bounds it works within."""

import importlib
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from runner.contract.kinds.base import (
    AcceptedRisk,
    Amount,
    Duration,
    Key,
    Permission,
    Reference,
    Spec,
    Strict,
    Text,
    named,
    only_one_of,
)
from runner.contract.kinds.model_endpoint import FALLBACKS, FALLBACKS_MAX

MODEL_ENDPOINT_DEFAULT = "default"
TASK_TOOLS: Final = ("orloj.task.create", "orloj.task.list")
"""Tools that Orloj answers itself: an agent has them that lists them, and no Tool says so."""


class ToolGrant(Strict):
    """A tool the agent may pick, and what it may do through it. No permission: denied."""

    name: str = Field(min_length=1)
    permissions: list[Permission] = []


def _grant(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Governance(Strict):
    """Rules over everything the agent does. Each limit is checked before a call is made.

    `max_tokens_per_minute` holds in any 60 seconds, over all tasks, processes and hosts;
    `max_cost_per_day` in any 24 hours, in the currency of the endpoint's prices;
    `max_concurrent` counts tasks that work with this agent at once.
    """

    max_tokens_per_minute: int | None = Field(
        default=None,
        gt=0,
        validation_alias=AliasChoices("maxTokensPerMinute", "max_tokens_per_minute"),
        serialization_alias="maxTokensPerMinute",
    )
    max_tokens_per_run: int | None = Field(
        default=None,
        gt=0,
        validation_alias=AliasChoices("maxTokensPerRun", "max_tokens_per_run"),
        serialization_alias="maxTokensPerRun",
    )
    max_cost_per_day: Amount | None = Field(
        default=None,
        gt=0,
        le=1_000_000_000,
        validation_alias=AliasChoices("maxCostPerDay", "max_cost_per_day"),
        serialization_alias="maxCostPerDay",
    )
    max_concurrent: int | None = Field(
        default=None,
        gt=0,
        validation_alias=AliasChoices("maxConcurrent", "max_concurrent"),
        serialization_alias="maxConcurrent",
    )
    require_approval: list[Permission] = Field(
        default=[],
        validation_alias=AliasChoices("requireApproval", "require_approval"),
        serialization_alias="requireApproval",
    )
    audit_log: Literal[True] = Field(
        default=True,
        validation_alias=AliasChoices("auditLog", "audit_log"),
        serialization_alias="auditLog",
    )


def _provider(value: Any) -> Any:
    return "in-memory" if value in ("", "memory") else value


class MemoryUse(Strict):
    """The Memory an agent works with, and the `memory.*` tools it has: those of `allow`.

    Without `ref` each task has a memory to itself, which its agents share. `type` and
    `provider` say what the agent counts on: the Memory must say the same.
    """

    ref: str | None = Field(default=None, min_length=1)
    allow: list[Literal["read", "write", "search", "list", "ingest"]] = []
    type: Literal["vector", "kv"] | None = None
    provider: Annotated[
        Literal["in-memory", "sqlite", "pgvector", "http"] | None, BeforeValidator(_provider)
    ] = None

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        if self.ref is None and self.provider not in (None, "in-memory"):
            raise ValueError("needs `ref`: only a Memory that is declared has that provider")
        if self.ref is None and not self.allow and (self.type or self.provider):
            raise ValueError("needs `allow`: without it the agent has no memory at all")
        if len(set(self.allow)) != len(self.allow):
            raise ValueError("`allow` names an operation twice")
        return self


_NonEmpty = Annotated[str, Field(min_length=1)]


class Execution(Strict):
    """What a turn must hold to count as done, and what a call means that was made before.

    With `profile: contract` each tool of `tool_sequence` must succeed, in any order, and the
    answer must hold every marker. `output_schema` is a JSON Schema that the answer must fit.
    Without `duplicate_tool_call_policy` each call that the model asks for is made.
    """

    profile: Literal["dynamic", "contract"] = "dynamic"
    tool_sequence: list[_NonEmpty] = []
    required_output_markers: list[_NonEmpty] = []
    duplicate_tool_call_policy: Literal["short_circuit", "deny"] | None = None
    on_contract_violation: Literal["non_retryable_error", "observe"] = "non_retryable_error"
    tool_use_behavior: Literal["run_llm_again", "stop_on_first_tool"] = "run_llm_again"
    output_schema: dict[str, Any] | None = None

    @field_validator("tool_sequence", "required_output_markers", "on_contract_violation")
    @classmethod
    def _means_something(cls, value: Any, info: ValidationInfo) -> Any:
        bound = value == "observe" if isinstance(value, str) else bool(value)
        if bound and info.data.get("profile") == "dynamic":
            raise ValueError(
                "only `profile: contract` is held to it; write that, or leave it out"
            )
        return value

    @field_validator("output_schema")
    @classmethod
    def _usable(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is None:
            return None
        # The library behind it is loaded where an agent asks for a shape, and nowhere else.
        checker = importlib.import_module("runner.contract.output_schema")
        if reason := checker.unusable(schema):
            raise ValueError(reason)
        return schema

    @model_validator(mode="after")
    def _has_tools(self) -> Self:
        if self.profile == "contract" and not self.tool_sequence:
            raise ValueError(
                "`profile: contract` needs tool_sequence: the tools that must succeed"
            )
        return self


class Limits(Strict):
    """How long one turn of the agent may be, and how long an answer of its model."""

    max_steps: int = Field(default=10, ge=1, le=1000)
    max_output_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    timeout: Duration | None = None


class Agent(Spec):
    """An agent. `model` is a model's name, `model_ref` names a ModelEndpoint.

    `fallback_model_refs` are asked, in order, when that one is busy or out of reach.
    """

    model: str | None = Field(default=None, min_length=1)
    model_ref: str | None = Field(default=None, min_length=1)
    fallback_model_refs: list[str] = Field(default=[], max_length=FALLBACKS_MAX)
    description: Text = ""
    prompt: Text = ""
    tools: list[Annotated[ToolGrant, BeforeValidator(_grant)]] = []
    allowed_tools: list[str] = []
    roles: list[str] = []
    memory: MemoryUse = MemoryUse()
    execution: Execution = Execution()
    limits: Limits = Limits()
    governance: Governance = Governance()
    accept_risk: list[AcceptedRisk] = []

    @field_validator("execution")
    @classmethod
    def _has_the_tools(cls, execution: Execution, info: ValidationInfo) -> Execution:
        if not info.data.keys() >= {"tools", "allowed_tools", "memory"}:
            return execution  # What is wrong with those is said already.
        has = {grant.name for grant in info.data["tools"]} | {*info.data["allowed_tools"]}
        has |= {f"memory.{operation}" for operation in info.data["memory"].allow}
        for tool in execution.tool_sequence:
            if tool not in has:
                raise ValueError(
                    f"tool_sequence names {tool}, which the agent does not have; list it in"
                    " tools, or take it out"
                )
        return execution

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        only_one_of("model", "model_ref")(self)
        return self

    def endpoint(self, namespace: str) -> tuple[Key, str | None]:
        """The ModelEndpoint to call, and the model to ask it for (None: its default)."""
        if self.model_ref is not None:
            return named("ModelEndpoint", self.model_ref, namespace), None
        return Key(namespace, "ModelEndpoint", MODEL_ENDPOINT_DEFAULT), self.model

    def candidates(self, namespace: str) -> list[tuple[Key, str | None]]:
        """Which ModelEndpoint is asked: the first of these that is declared, and for what.

        `model_ref` names it. `model: NAME` means the one of that name, else the one named
        `default`, which is asked for NAME.
        """
        named_or_default = self.endpoint(namespace)
        if self.model is None:
            return [named_or_default]
        return [(Key(namespace, "ModelEndpoint", self.model), None), named_or_default]

    def fallbacks(self, namespace: str) -> list[Reference]:
        """The endpoints to ask when its own does not answer."""
        return [
            Reference(named("ModelEndpoint", name, namespace), ("spec", FALLBACKS, index))
            for index, name in enumerate(self.fallback_model_refs)
        ]

    def references(self, namespace: str) -> list[Reference]:
        """Its endpoints if named, tools, roles and memory; what is not there is denied."""
        found = self.fallbacks(namespace)
        found += [
            Reference(named(kind, name, namespace), ("spec", field, index), required=False)
            for kind, field, names in (
                ("Tool", "tools", [tool.name for tool in self.tools]),
                ("Tool", "allowed_tools", self.allowed_tools),
                ("AgentRole", "roles", self.roles),
            )
            for index, name in enumerate(names)
            if name not in TASK_TOOLS
        ]
        if self.memory.ref is not None:
            target = named("Memory", self.memory.ref, namespace)
            found.append(Reference(target, ("spec", "memory", "ref"), required=False))
        if self.model_ref is None:
            return found
        return [Reference(self.endpoint(namespace)[0], ("spec", "model_ref")), *found]
