"""The ways to ask a model: one module per provider, imported when a task first needs it.

The client library of a real provider takes half a second to import and tens of megabytes;
a worker that only runs the scripted model never pays for it.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Final

from runner.contract.errors import ModelFailed
from runner.contract.kinds import ModelEndpoint
from runner.conversation import Conversation, ModelReply

_MODULES: Final = {
    "mock": "runner.models.mock",
    "openai": "runner.models.openai",
    "openai-compatible": "runner.models.openai",
    "ollama": "runner.models.openai",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that the model may ask for. `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model. `key` is the endpoint's API key, if it has one."""

    endpoint: ModelEndpoint
    model: str
    key: str | None
    conversation: Conversation
    tools: list[Offer]


async def ask(request: Request) -> ModelReply:
    """The model's reply; ModelFailed, which says whether trying again may help."""
    provider = request.endpoint.provider
    if provider not in _MODULES:
        raise ModelFailed(
            f"the provider {provider} cannot be asked yet; use openai, openai-compatible, "
            "ollama or mock"
        )
    module = importlib.import_module(_MODULES[provider])
    reply: ModelReply = await module.ask(request)
    return reply
