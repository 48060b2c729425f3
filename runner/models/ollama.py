"""Ollama in its own protocol, `/api/chat`: JSON over HTTP, a line a piece when it streams.

An address that ends with `/v1` is asked by `runner.models.openai` instead. No redirect is
followed, nothing is tried again, nothing is read from the process environment.
"""

import asyncio
import json
from functools import lru_cache
from typing import Any

import httpx2

from runner.contract.errors import ModelFailed
from runner.conversation import Conversation, ModelReply, ToolCall
from runner.models import (
    Estimate,
    Request,
    bounded,
    by_bytes,
    reading,
    tool_names,
    trouble,
)
from runner.models.address import Address, address


def estimate(request: Request) -> Estimate:
    """What a question takes: bounded by the bytes of all that is sent."""
    sent = _sent(request)
    return by_bytes(sent, len(sent["messages"]) + len(request.tools))


async def ask(request: Request) -> ModelReply:
    """The reply; ModelFailed, retryable when the endpoint was busy or out of reach."""
    tool_names.offered(request.tools)
    place = address(request)
    body = _sent(request) | {"stream": request.endpoint.stream}
    limits = {"num_predict": request.output_max, "num_ctx": _context(request)}
    options = {name: value for name, value in limits.items() if value is not None}
    body |= {"options": options} if options else {}
    try:
        async with asyncio.timeout(place.timeout_s):
            return _reply(await _answer(place, body), request)
    except (TimeoutError, httpx2.HTTPError) as error:
        raise trouble.of_transport(error) from error
    except (ValueError, RecursionError) as error:
        raise trouble.unreadable(error) from error


def _context(request: Request) -> int | None:
    length = request.endpoint.options.get("num_ctx")
    return None if length is None else int(length)


async def _answer(place: Address, body: dict[str, Any]) -> dict[str, Any]:
    headers = {} if place.key is None else {"Authorization": f"Bearer {place.key}"}
    client = _client()
    timeout = httpx2.Timeout(None, read=place.idle_s)
    url = f"{place.url}/api/chat"
    async with client.stream(
        "POST", url, json=body, headers=headers, timeout=timeout
    ) as response:
        if not response.is_success:
            raise await _refused(response, place.key)
        lines = [line async for line in response.aiter_lines()]
    if not body["stream"]:
        return _assembled([_object("\n".join(lines)) | {"done": True}], place.key)
    return _assembled([_object(line) for line in lines if line.strip()], place.key)


async def _refused(response: httpx2.Response, key: str | None) -> ModelFailed:
    text = (await response.aread()).decode("utf-8", "replace")
    try:
        said = reading.field(json.loads(text), "error")
    except (ValueError, RecursionError):
        said = None
    words = said if isinstance(said, str) and said else response.reason_phrase
    return trouble.of_answer(response.status_code, words, response.headers, key)


def _object(line: str) -> dict[str, Any]:
    value = json.loads(line, object_pairs_hook=reading.once)
    if not isinstance(value, dict):
        raise ValueError("a piece is no object")
    return value


def _assembled(pieces: list[dict[str, Any]], key: str | None) -> dict[str, Any]:
    """The last piece, with all that was said before it; ModelFailed when the end is missing."""
    texts, calls = reading.Pieces(), []
    for piece in pieces:
        if "error" in piece:
            raise trouble.cut(str(piece["error"]), key)
        message = piece.get("message")
        if not texts.add("content", reading.field(message, "content")):
            raise ModelFailed("the model answered with no text, or more than a reply may be")
        calls += reading.items(reading.field(message, "tool_calls"))
    if not pieces or pieces[-1].get("done") is not True:
        raise ModelFailed(trouble.CUT, retryable=True)
    text = texts.text("content")
    return pieces[-1] | {"message": {"content": text, "tool_calls": calls}}


def _reply(answer: dict[str, Any], request: Request) -> ModelReply:
    found = answer["message"]["tool_calls"]
    tools = tool_names.offered(request.tools)
    ids = reading.call_ids([reading.field(item, "id") for item in found])
    calls = []
    for id, item in zip(ids, found, strict=True):
        function = reading.field(item, "function")
        name = str(reading.field(function, "name") or "")
        calls.append(ToolCall(id, tools.get(name, name), reading.field(function, "arguments")))
    tokens_in = reading.count(answer.get("prompt_eval_count"))
    tokens_out = reading.count(answer.get("eval_count"))
    model = answer.get("model")
    return ModelReply(
        # It says the empty text beside calls.
        text=answer["message"]["content"] or (None if calls else ""),
        calls=tuple(calls),
        tokens_in=tokens_in or 0,
        tokens_out=tokens_out or 0,
        model=model if isinstance(model, str) else request.model,
        # What it still knows of a question before it does not count again, and says nothing.
        usage=tokens_in is not None and tokens_out is not None,
    )


def _sent(request: Request) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(request.conversation),
    }
    if request.tools:
        sent["tools"] = [tool_names.function(offer) for offer in request.tools]
    if request.schema is not None:
        sent["format"] = request.schema
    return sent


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if conversation.prompt:
        messages.append({"role": "system", "content": conversation.prompt})
    messages.append({"role": "user", "content": conversation.opening()})
    for exchange in conversation.exchanges:
        calls = [
            {"function": {"name": tool_names.shown(call.tool), "arguments": call.arguments}}
            for call in exchange.reply.calls
        ]
        said: dict[str, Any] = {"role": "assistant", "content": exchange.reply.text or ""}
        messages.append(said | ({"tool_calls": calls} if calls else {}))
        messages += [
            {
                "role": "tool",
                "tool_name": tool_names.shown(call.tool),
                "content": exchange.answers[call.id],
            }
            for call in exchange.reply.calls
        ]
        if exchange.told is not None:
            messages.append({"role": "user", "content": exchange.told})
    return messages


@lru_cache(maxsize=1)
def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        transport=bounded.Transport(trust_env=False),
    )
