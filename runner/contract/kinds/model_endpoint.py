"""ModelEndpoint: where a model is asked. `mock` answers from a script in the manifest."""

from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds.base import (
    Amount,
    Duration,
    Reference,
    SecretAuth,
    Spec,
    Strict,
    Text,
)

BASE_URLS: Final = {
    "openai": "https://api.openai.com/v1",
    "ollama": "http://127.0.0.1:11434/v1",
}
"""Where a provider is asked that was given no `base_url`."""


class ScriptedCall(Strict):
    """A tool call that the scripted model makes."""

    tool: str
    arguments: dict[str, Any] = {}


class ScriptedTurn(Strict):
    """One answer of the scripted model: tool calls, or a reply that ends the turn.

    In `reply`, `{input.NAME}` stands for an input of the task, `{previous}` for what the
    agent before said, and `{result.N}` for the result of the N-th tool call, from 1.
    """

    calls: list[ScriptedCall] = []
    reply: Text = ""
    delay: Duration = "0s"
    input_tokens: int = Field(default=10, ge=0)
    output_tokens: int = Field(default=10, ge=0)


class Price(Strict):
    """What a million tokens cost, in one currency for all prices of the repository."""

    input: Amount = Field(ge=0, le=1_000_000)
    output: Amount = Field(ge=0, le=1_000_000)


class ModelEndpoint(Spec):
    """A model endpoint. `script` is read by the provider `mock` only, a list per agent.

    `prices` is the price table, by the model's name; `*` is every other model. Without a
    price a model cannot be asked by an agent whose cost is limited.
    """

    provider: Literal[
        "mock", "openai", "openai-compatible", "anthropic", "azure-openai", "azure", "ollama"
    ] = "openai"
    base_url: str | None = None
    default_model: str = Field(min_length=1)
    options: dict[str, str] = {}
    auth: SecretAuth | None = None
    timeout: Duration = "120s"
    prices: dict[str, Price] = {}
    script: dict[str, list[ScriptedTurn]] = {}

    @model_validator(mode="after")
    def _script_is_for_mock(self) -> Self:
        if self.script and self.provider != "mock":
            raise ValueError("only the provider mock takes a script")
        return self

    def references(self, namespace: str) -> list[Reference]:
        """The Secret that holds its key."""
        if self.auth is None:
            return []
        key, _ = self.auth.secret(namespace)
        return [Reference(key, ("spec", "auth", "secretRef"), required=False)]
