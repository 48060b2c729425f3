"""ModelEndpoint: where a model is asked. `mock` answers from a script in the manifest."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from runner.contract.kinds import model_options
from runner.contract.kinds.base import (
    Amount,
    Duration,
    Reference,
    SecretAuth,
    Spec,
    Strict,
    Text,
    named,
)

BASE_URLS: Final = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "ollama": "http://127.0.0.1:11434",
}
"""Where a provider is asked that was given no `base_url`."""

_ADDRESSED: Final = frozenset({"openai-compatible", "azure", "azure-openai"})
FALLBACKS: Final = "fallback_model_refs"
FALLBACKS_MAX: Final = 8


def _provider(value: Any) -> Any:
    spelled = value.strip().lower() if isinstance(value, str) else value
    if spelled == "bedrock":
        raise ValueError(
            "bedrock is not supported: its requests are signed with AWS credentials, which"
            " orloj does not handle; put a proxy with the OpenAI protocol before it and write"
            " openai-compatible with its base_url"
        )
    return spelled


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
    price a model cannot be asked by an agent whose cost is limited. `timeout` bounds a whole
    answer; with `stream` it comes in pieces, and `idle_timeout` bounds the wait for each.
    `fallback_model_refs` are asked, in order, when this one is busy or out of reach.
    """

    provider: Annotated[
        Literal[
            "mock",
            "openai",
            "openai-compatible",
            "anthropic",
            "azure-openai",
            "azure",
            "ollama",
        ],
        BeforeValidator(_provider),
    ] = "openai"
    base_url: str | None = None
    default_model: str = Field(min_length=1)
    options: Annotated[dict[str, str], BeforeValidator(model_options.spelled)] = {}
    auth: SecretAuth | None = None
    timeout: Duration = "120s"
    stream: bool = False
    idle_timeout: Duration = "60s"
    fallback_model_refs: list[str] = Field(default=[], max_length=FALLBACKS_MAX)
    prices: dict[str, Price] = {}
    script: dict[str, list[ScriptedTurn]] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_options(cls, value: Any) -> Any:
        """Ollama's address and model may stand among the options; they are fields to us."""
        if not isinstance(value, dict) or _provider_of(value) != "ollama":
            return value
        options = model_options.spelled(value.get("options"))
        if not isinstance(options, dict):
            return value
        found = dict(value)
        for field, other in (("base_url", "baseUrl"), ("default_model", "defaultModel")):
            if field in options and field not in value and other not in value:
                found[field] = options[field]
        return found

    @field_validator("options", mode="after")
    @classmethod
    def _known(cls, options: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if "provider" in info.data:
            model_options.check(info.data["provider"], options)
        for field in ("base_url", "default_model"):
            if field in options and options[field] != info.data.get(field, options[field]):
                raise ValueError(f"{field} stands here and as a field, and they differ")
        return options

    @model_validator(mode="after")
    def _fits_its_provider(self) -> Self:
        if self.script and self.provider != "mock":
            raise ValueError("only the provider mock takes a script")
        if self.provider == "mock" and (self.base_url or self.stream):
            raise ValueError(
                "the provider mock asks nobody: it takes neither base_url nor stream"
            )
        if self.base_url is None and self.provider in _ADDRESSED:
            raise ValueError(f"the provider {self.provider} needs base_url")
        if "idle_timeout" in self.model_fields_set and not self.stream:
            raise ValueError("idle_timeout bounds the pieces of a stream: write stream: true")
        if "num_ctx" in self.options and self.speaks_openai:
            raise ValueError(
                "options.num_ctx is of Ollama's own protocol: write base_url without /v1"
            )
        if self.provider == "ollama" and "output_limit" in self.options:
            self._speaks("options.output_limit")
        return self

    def _speaks(self, option: str) -> None:
        if not self.speaks_openai:
            raise ValueError(f"{option} is of the OpenAI protocol: end base_url with /v1")

    @property
    def speaks_openai(self) -> bool:
        """Whether an Ollama is asked the way that OpenAI is."""
        return (self.base_url or "").rstrip("/").endswith("/v1")

    def fallbacks(self, namespace: str) -> list[Reference]:
        """The endpoints to ask when this one does not answer."""
        return [
            Reference(named("ModelEndpoint", name, namespace), ("spec", FALLBACKS, index))
            for index, name in enumerate(self.fallback_model_refs)
        ]

    def references(self, namespace: str) -> list[Reference]:
        """The Secret that holds its key, and the endpoints that stand in for it."""
        if self.auth is None:
            return self.fallbacks(namespace)
        key, _ = self.auth.secret(namespace)
        secret = Reference(key, ("spec", "auth", "secretRef"), required=False)
        return [secret, *self.fallbacks(namespace)]


def _provider_of(value: dict[str, Any]) -> str:
    provider = value.get("provider")
    return provider.strip().lower() if isinstance(provider, str) else ""
