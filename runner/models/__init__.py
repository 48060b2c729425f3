"""The ways to ask a model: one module per provider, imported when a task first needs it.

The client library of a real provider takes half a second to import and tens of megabytes;
a worker that only runs the scripted model never pays for it.
"""

import importlib
import json
from dataclasses import dataclass
from typing import Any, Final

from runner.contract.kinds import ModelEndpoint
from runner.conversation import Conversation, ModelReply

_MODULES: Final = {
    "mock": "runner.models.mock",
    "openai": "runner.models.openai",
    "openai-compatible": "runner.models.openai",
    "azure": "runner.models.openai",
    "azure-openai": "runner.models.openai",
    "anthropic": "runner.models.anthropic",
    "ollama": "runner.models.ollama",
}


MESSAGE_TOKENS: Final = 16
"""What a model's template may put around a message; those known take up to a dozen."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that the model may ask for. `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model. `key` is the endpoint's API key, if it has one.

    `output_max` is the most tokens that the answer may have; None: as many as the model likes.
    `schema` is a JSON Schema that the answer is asked to fit; what comes is checked elsewhere.
    """

    endpoint: ModelEndpoint
    model: str
    key: str | None
    conversation: Conversation
    tools: list[Offer]
    output_max: int | None = None
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a question takes of input: never more than `input`, likely about `likely` tokens.

    `output` is the length of the answer, where it is known before.
    """

    input: int
    likely: int
    output: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it goes to the dispatcher."""
        return {"input": self.input, "likely": self.likely, "output": self.output}


def by_bytes(sent: Any, messages: int) -> Estimate:
    """The estimate of what is sent as JSON, in so many messages.

    A token of a byte-level vocabulary is at least one byte, so the bytes are an upper bound,
    but for what the model's own template puts around each message. Three bytes a token is
    about what models make of prose and JSON; a tenth is added.
    """
    text = json.dumps(sent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    around = MESSAGE_TOKENS * (messages + 1)
    return Estimate(len(text) + around, -(-len(text) * 11 // 30) + around)


def estimate(request: Request) -> Estimate:
    """What a question takes, known before it is asked."""
    made: Estimate = _module(request.endpoint).estimate(request)
    return made


async def ask(request: Request) -> ModelReply:
    """The model's reply; ModelFailed, which says whether trying again may help."""
    reply: ModelReply = await _module(request.endpoint).ask(request)
    return reply


def _module(endpoint: ModelEndpoint) -> Any:
    name = _MODULES[endpoint.provider]
    if endpoint.provider == "ollama" and endpoint.speaks_openai:
        name = _MODULES["openai-compatible"]
    return importlib.import_module(name)
