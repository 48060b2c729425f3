"""Asks a model endpoint one question through the real client, in a loop of its own."""

import asyncio
from typing import Any

from model_server import ModelServer

from runner import conversation, models
from runner.contract.kinds import ModelEndpoint
from runner.conversation import Conversation, ModelReply
from runner.models import Offer, Request, anthropic, ollama, openai
from runner.models.address import address

KEY = "sk-canary-51bd"
TALK = Conversation("clerk", "Be brief.", {"ticket": "7"}, None)
OFFERS = [Offer("files.read", "Reads.", {"type": "object"}), Offer("other/send", "", {})]


def question(
    server: ModelServer | str, provider: str, *, talk: Conversation = TALK, **more: Any
) -> Request:
    """A question; `more` are fields of the request, and `spec` those of the endpoint."""
    url = server if isinstance(server, str) else server.url
    spec = {"provider": provider, "base_url": url, "default_model": "m"} | more.pop("spec", {})
    given = {"tools": OFFERS, "key": KEY} | more
    endpoint = ModelEndpoint.model_validate(spec)
    return Request(endpoint=endpoint, model="asked", conversation=talk, **given)


def ask(server: ModelServer | str, provider: str, **more: Any) -> ModelReply:
    """The checked reply to a question."""
    request = question(server, provider, **more)

    async def once() -> ModelReply:
        try:
            return conversation.checked(await models.ask(request))
        finally:
            await _close(request)

    return asyncio.run(once())


async def _close(request: Request) -> None:
    # A client keeps its connections in the loop that it was first used in.
    match request.endpoint.provider:
        case "anthropic":
            await anthropic._client_of(request, address(request)).close()
        case "ollama" if not request.endpoint.speaks_openai:
            await ollama._client().aclose()
        case _:
            await openai._client_of(request, address(request)).close()
    for cached in (openai._client, openai._azure_client, anthropic._client, ollama._client):
        cached.cache_clear()
