"""Task: work for an agent or an agent system, with its inputs and its retry policy."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds.base import (
    Duration,
    Key,
    Reference,
    Spec,
    Strict,
    Text,
    named,
    only_one_of,
)

Jitter = Literal["none", "full", "equal", "decorrelated"]
Priority = Literal["low", "normal", "high", "critical"]


class TaskRetry(Strict):
    """When a failed task is tried again."""

    max_attempts: int = Field(default=1, ge=1, le=100)
    backoff: Duration = "0s"
    max_backoff: Duration = "5m"
    jitter: Jitter = "full"


class MessageRetry(Strict):
    """When a failed hand-off inside a task is tried again."""

    max_attempts: int | None = Field(default=None, ge=1, le=100)
    backoff: Duration | None = None
    max_backoff: Duration = "24h"
    jitter: Jitter = "full"
    non_retryable: list[str] = []


class Requirements(Strict):
    """What a worker must offer. Tasks stand in an index by it, which bounds its length."""

    region: str | None = Field(default=None, max_length=128)
    gpu: bool = False
    model: str | None = Field(default=None, max_length=128)


class Task(Spec):
    """A task. In mode `run` it is queued when it is applied; a `template` waits to be used."""

    system: str | None = Field(default=None, min_length=1)
    agent: str | None = Field(default=None, min_length=1)
    mode: Literal["run", "template"] = "run"
    input: dict[str, Text] = {}
    priority: Priority = "normal"
    max_turns: int = Field(default=0, ge=0)
    retry: TaskRetry = TaskRetry()
    message_retry: MessageRetry = MessageRetry()
    requirements: Requirements = Requirements()

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        only_one_of("system", "agent")(self)
        return self

    def subject(self, namespace: str) -> Key:
        """The AgentSystem or the Agent that does the work."""
        if self.system is not None:
            return named("AgentSystem", self.system, namespace)
        assert self.agent is not None
        return named("Agent", self.agent, namespace)

    def flow(self) -> dict[str, Any]:
        """What bounds the visits of the task: `max_turns` and `message_retry`; {}: nothing.

        What `message_retry` leaves out is as in `retry`. An agent alone hands nothing on: its
        calls are tried again with the task, unless `message_retry` is written.
        """
        found: dict[str, Any] = {"max_turns": self.max_turns} if self.max_turns else {}
        given = self.message_retry.model_dump(mode="json", exclude_none=True)
        own = self.message_retry != MessageRetry()
        if own or (self.system is not None and self.retry.max_attempts > 1):
            whole = {"max_attempts": self.retry.max_attempts, "backoff": self.retry.backoff}
            found["message_retry"] = whole | given
        return found

    def references(self, namespace: str) -> list[Reference]:
        """Its subject."""
        field = "system" if self.system is not None else "agent"
        return [Reference(self.subject(namespace), ("spec", field))]
