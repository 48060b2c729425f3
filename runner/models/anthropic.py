"""Anthropic's models through its messages API. The only caller of anthropic.

The client's own retries are off: a retry is a matter of the task, where it is counted and
logged. Nothing is read from the process environment, no redirect is followed, and no span
is kept: what an agent says goes to the declared address or nowhere.
"""

import asyncio
from functools import lru_cache
from typing import Any, Final

import anthropic
import httpx2

from runner.conversation import ModelReply
from runner.models import Estimate, Request, bounded, by_bytes, messages, tool_names, trouble
from runner.models.address import Address, address
from runner.models.message_stream import Assembly

VERSION: Final = "2023-06-01"
TOOLS_TOKENS: Final = 1_000
"""What the endpoint adds by itself to a question with tools; those known take half of it."""


def estimate(request: Request) -> Estimate:
    """What a question takes: bounded by the bytes of all that is sent."""
    sent = messages.sent(request)
    tools = len(sent.get("tools", ()))
    found = by_bytes(sent, len(sent["messages"]) + tools)
    added = TOOLS_TOKENS if tools else 0
    return Estimate(found.input + added, found.likely + added)


async def ask(request: Request) -> ModelReply:
    """The reply; ModelFailed, retryable when the endpoint was busy or out of reach."""
    tool_names.offered(request.tools)
    arguments = messages.sent(request) | {"max_tokens": messages.output_max(request)}
    place = address(request)
    client = _client_of(request, place)
    with trouble.told(anthropic, request.key):
        # The client's own limit starts anew with every byte that a slow endpoint sends.
        async with asyncio.timeout(place.timeout_s):
            if request.endpoint.stream:
                message = await _streamed(client, arguments, place)
            else:
                message = await client.messages.create(**arguments, timeout=None)
        return messages.reply(message, request)


async def _streamed(
    client: anthropic.AsyncAnthropic, arguments: dict[str, Any], place: Address
) -> Any:
    assembly = Assembly()
    stream = await client.messages.create(
        **arguments, stream=True, timeout=httpx2.Timeout(None, read=place.idle_s)
    )
    async with stream:
        async for event in stream:
            assembly.add(event)
    return assembly.whole()


def _client_of(request: Request, place: Address) -> anthropic.AsyncAnthropic:
    assert place.key is not None, "an address of this provider has a key"
    version = request.endpoint.options.get("anthropic_version", VERSION)
    # The client adds the version of the protocol to the address by itself.
    return _client(place.url.removesuffix("/v1"), place.key, version)


@lru_cache(maxsize=32)
def _client(url: str, key: str, version: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        base_url=url,
        api_key=key,
        timeout=None,
        max_retries=0,
        open_telemetry=False,
        # The client sends the key as a bearer; proxies of the protocol look for it here.
        default_headers={"anthropic-version": version, "X-Api-Key": key},
        http_client=anthropic.DefaultAsyncHttpxClient(
            trust_env=False,
            follow_redirects=False,
            transport=bounded.Transport(trust_env=False),
        ),
    )
