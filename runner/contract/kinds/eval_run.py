"""EvalRun: ask an agent or an agent system all samples of a dataset, and score the answers."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from runner.contract.kinds.base import (
    Duration,
    Key,
    Reference,
    Spec,
    Strict,
    Text,
    named,
    only_one_of,
    seconds,
)
from runner.contract.kinds.eval_dataset import EvalDataset, Scoring

REPETITIONS_MAX: Final = 100
ANSWERS_MAX: Final = 10_000


class AgentOverride(Strict):
    """What an agent is told or asks instead, in this run and nowhere else."""

    agent: str = Field(min_length=1)
    system_prompt: Text | None = Field(
        default=None,
        validation_alias=AliasChoices("system_prompt", "systemPrompt", "prompt"),
        serialization_alias="system_prompt",
    )
    model_ref: str | None = Field(default=None, min_length=1)


def _by_agent(value: Any) -> Any:
    # The public dialect writes both: a list of overrides, and a mapping by the agent's name.
    if not isinstance(value, dict):
        return value
    return [
        {"agent": name, **item} if isinstance(item, dict) else item
        for name, item in value.items()
    ]


class EvalRun(Spec):
    """An evaluation. Applied, it runs once; `suspended`, it waits for `orloj eval run`.

    `pass_threshold` is the share of answers that must be right. Of tools, those that declare
    `operation_classes: [read]` are called, unless `tools` is `stubs`, and those of
    `real_tools`; all others are answered by the sample's `tool_results`, or denied.
    """

    dataset: str = Field(
        min_length=1,
        validation_alias=AliasChoices("dataset", "dataset_ref", "datasetRef"),
        serialization_alias="dataset",
    )
    system: str | None = Field(default=None, min_length=1)
    agent: str | None = Field(default=None, min_length=1)
    scoring: Scoring = Scoring()
    repetitions: int = Field(default=1, ge=1, le=REPETITIONS_MAX)
    pass_threshold: float = Field(default=1.0, ge=0, le=1)
    concurrency: int = Field(default=1, ge=1, le=1_000)
    timeout: Duration = "10m"
    agent_overrides: Annotated[list[AgentOverride], BeforeValidator(_by_agent)] = []
    model_endpoint_override: str | None = Field(default=None, min_length=1)
    tools: Literal["read", "stubs"] = "read"
    real_tools: list[str] = []
    labels: dict[str, str] = {}
    suspended: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Self:
        only_one_of("system", "agent")(self)
        names = [override.agent for override in self.agent_overrides]
        if len(names) != len(set(names)):
            raise ValueError("agent_overrides names an agent twice; say it once")
        if not seconds(self.timeout):
            raise ValueError("timeout must be more than nothing")
        if self.tools == "stubs" and self.real_tools:
            raise ValueError("with `tools: stubs` no tool is called: leave out real_tools")
        return self

    def subject(self, namespace: str) -> Key:
        """The AgentSystem or the Agent that is asked."""
        if self.system is not None:
            return named("AgentSystem", self.system, namespace)
        assert self.agent is not None
        return named("Agent", self.agent, namespace)

    def questions(self, namespace: str) -> Key:
        """The EvalDataset."""
        return named("EvalDataset", self.dataset, namespace)

    def cannot_ask(self, dataset: EvalDataset) -> str | None:
        """Why these questions cannot be asked or scored; None when they can."""
        if len(dataset.samples) * self.repetitions > ANSWERS_MAX:
            return (
                f"{len(dataset.samples)} samples {self.repetitions} times are more than"
                f" {ANSWERS_MAX:,} questions; ask less often, or divide the dataset"
            )
        for sample in dataset.samples:
            strategy = (sample.scoring or self.scoring).strategy
            if strategy == "exact_match" and sample.expected.empty:
                return (
                    f"sample {sample.name} expects nothing, so exact_match cannot score it: say"
                    " what is expected, or score it by llm_judge or manual"
                )
        return None

    def references(self, namespace: str) -> list[Reference]:
        """The dataset, the subject, and every endpoint and agent it names."""
        field = "system" if self.system is not None else "agent"
        found = [
            Reference(self.questions(namespace), ("spec", "dataset")),
            Reference(self.subject(namespace), ("spec", field)),
        ]
        if (judge := self.scoring.judge(namespace)) is not None:
            found.append(Reference(judge, ("spec", "scoring", "model_ref")))
        if self.model_endpoint_override is not None:
            key = named("ModelEndpoint", self.model_endpoint_override, namespace)
            found.append(Reference(key, ("spec", "model_endpoint_override")))
        for override in self.agent_overrides:
            key = named("Agent", override.agent, namespace)
            found.append(Reference(key, ("spec", "agent_overrides")))
            if override.model_ref is not None:
                key = named("ModelEndpoint", override.model_ref, namespace)
                found.append(Reference(key, ("spec", "agent_overrides")))
        return found
