"""OpenAI, Azure and all who speak chat completions. The only caller of openai.

The client's own retries are off: a retry is a matter of the task, where it is counted and
logged. Nothing is read from the process environment, and no redirect is followed: what an
agent says goes to the declared address or nowhere.
"""

import asyncio
from functools import lru_cache
from typing import Any, Final

import httpx2
import openai

from runner.conversation import ModelReply
from runner.models import Estimate, Request, bounded, by_bytes, chat, tool_names, trouble
from runner.models.address import Address, address
from runner.models.chat_stream import Assembly

_AZURE: Final = frozenset({"azure", "azure-openai"})
AZURE_API_VERSION: Final = "2024-10-21"


def estimate(request: Request) -> Estimate:
    """What a question takes: bounded by the bytes of all that is sent."""
    sent = chat.sent(request)
    return by_bytes(sent, len(sent["messages"]) + len(request.tools))


async def ask(request: Request) -> ModelReply:
    """The reply; ModelFailed, retryable when the endpoint was busy or out of reach."""
    tool_names.offered(request.tools)
    arguments = chat.sent(request)
    if request.output_max is not None:
        arguments[chat.output_field(request)] = request.output_max
    place = address(request)
    client = _client_of(request, place)
    with trouble.told(openai, request.key):
        # The client's own limit starts anew with every byte that a slow endpoint sends.
        async with asyncio.timeout(place.timeout_s):
            if request.endpoint.stream:
                completion = await _streamed(client, arguments, place)
            else:
                completion = await client.chat.completions.create(**arguments)
        return chat.reply(completion, request)


async def _streamed(
    client: openai.AsyncOpenAI, arguments: dict[str, Any], place: Address
) -> Any:
    assembly = Assembly()
    stream = await client.chat.completions.create(
        **arguments,
        stream=True,
        stream_options={"include_usage": True},
        timeout=httpx2.Timeout(None, read=place.idle_s),
    )
    async with stream:
        async for chunk in stream:
            assembly.add(chunk)
    return assembly.whole()


def _client_of(request: Request, place: Address) -> openai.AsyncOpenAI:
    options, provider = request.endpoint.options, request.endpoint.provider
    key = place.key or "none"
    if provider not in _AZURE:
        return _client(place.url, key)
    # Azure finds a model by the name that it was deployed under, in the address.
    deployment = options.get("deployment", request.model)
    version = options.get("api_version", AZURE_API_VERSION)
    return _azure_client(place.url, key, deployment, version)


@lru_cache(maxsize=32)
def _client(url: str, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=url, api_key=key, timeout=None, max_retries=0, http_client=_http()
    )


@lru_cache(maxsize=32)
def _azure_client(url: str, key: str, deployment: str, version: str) -> openai.AsyncOpenAI:
    return openai.AsyncAzureOpenAI(
        azure_endpoint=url,
        azure_deployment=deployment,
        api_version=version,
        api_key=key,
        timeout=None,
        max_retries=0,
        http_client=_http(),
    )


def _http() -> httpx2.AsyncClient:
    return openai.DefaultAsyncHttpxClient(
        trust_env=False,
        follow_redirects=False,
        transport=bounded.Transport(trust_env=False),
    )
