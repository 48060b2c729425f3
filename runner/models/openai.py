"""OpenAI and every endpoint that speaks its chat completions. The only caller of openai.

The client's own retries are off: a retry is a matter of the task, where it is counted and
logged. Nothing is read from the process environment, and no redirect is followed: what an
agent says goes to the declared address or nowhere.
"""

import asyncio
import json
import re
from functools import lru_cache
from typing import Any, Final

import httpx2
import openai

from runner.contract import seal
from runner.contract.errors import ModelFailed
from runner.contract.kinds.base import seconds
from runner.contract.kinds.model_endpoint import BASE_URLS
from runner.conversation import Conversation, ModelReply, ToolCall
from runner.models import Estimate, Offer, Request, bounded, by_bytes

_RETRYABLE_STATUS: Final = frozenset({408, 409, 429})
_OUTPUT_FIELDS: Final = ("max_completion_tokens", "max_tokens")
_MAYBE_WORKED_ON: Final = frozenset({408, 409, 499})
_ID_MAX: Final = 256
_SAID_CHARACTERS: Final = 300
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def estimate(request: Request) -> Estimate:
    """What a question takes: bounded by the bytes of all that is sent."""
    sent = _sent(request)
    return by_bytes(sent, len(sent["messages"]) + len(request.tools))


async def ask(request: Request) -> ModelReply:
    """The reply; ModelFailed, retryable when the endpoint was busy or out of reach."""
    _offered_names(request.tools)
    arguments = _sent(request)
    if request.output_max is not None:
        arguments[_output_field(request)] = request.output_max
    url, key, timeout_s = _address(request)
    try:
        # The client's own limit starts anew with every byte that a slow endpoint sends.
        async with asyncio.timeout(timeout_s):
            completion = await _client(url, key).chat.completions.create(**arguments)
    except (TimeoutError, openai.APITimeoutError) as error:
        raise ModelFailed(
            "the model endpoint did not answer in time", retryable=True
        ) from error
    except openai.APIConnectionError as error:
        if isinstance(error.__cause__, ModelFailed):
            raise error.__cause__ from None  # Ours, about an answer that is not read on.
        raise ModelFailed(
            "the model endpoint cannot be reached",
            retryable=True,
            untouched=isinstance(error.__cause__, httpx2.ConnectError),
        ) from error
    except openai.APIStatusError as error:
        raise _failed(error, request.key) from error
    except (openai.OpenAIError, ValueError, RecursionError) as error:
        raise ModelFailed(
            f"the model endpoint's answer cannot be read: {type(error).__name__}"
        ) from error
    return _reply(completion, request)


def _sent(request: Request) -> dict[str, Any]:
    """All of a question that the model reads."""
    sent: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(request.conversation),
    }
    if request.tools:
        sent["tools"] = [_function(offer) for offer in request.tools]
    return sent


def _output_field(request: Request) -> str:
    """How the endpoint is told the longest answer: by the name that it knows."""
    usual = "max_completion_tokens" if request.endpoint.provider == "openai" else "max_tokens"
    named = request.endpoint.options.get("output_limit", usual)
    if named not in _OUTPUT_FIELDS:
        raise ModelFailed(
            f"options.output_limit is {named}; it is one of {' and '.join(_OUTPUT_FIELDS)}",
            untouched=True,
        )
    return named


def _address(request: Request) -> tuple[str, str, float]:
    provider = request.endpoint.provider
    url = request.endpoint.base_url or BASE_URLS.get(provider)
    if url is None:
        raise ModelFailed("the ModelEndpoint needs base_url", untouched=True)
    if provider == "ollama" and not url.rstrip("/").endswith("/v1"):
        url = url.rstrip("/") + "/v1"
    if request.key is None and (provider == "openai" or request.endpoint.auth is not None):
        raise ModelFailed(
            "the ModelEndpoint's secret has no value on this host; check spec.auth.secretRef,"
            " its Secret with its allowedNamespaces, and the setting secrets.env",
            untouched=True,
        )
    return url, request.key or "none", seconds(request.endpoint.timeout)


@lru_cache(maxsize=32)
def _client(url: str, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=url,
        api_key=key,
        timeout=None,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(
            trust_env=False,
            follow_redirects=False,
            transport=bounded.Transport(trust_env=False),
        ),
    )


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if conversation.prompt:
        messages.append({"role": "system", "content": conversation.prompt})
    messages.append({"role": "user", "content": conversation.opening()})
    for exchange in conversation.exchanges:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": _function_name(call.tool),
                    "arguments": json.dumps(call.arguments),
                },
            }
            for call in exchange.reply.calls
        ]
        said: dict[str, Any] = {"role": "assistant", "content": exchange.reply.text}
        messages.append(said | ({"tool_calls": calls} if calls else {}))
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": exchange.answers[call.id]}
            for call in exchange.reply.calls
        ]
        if exchange.told is not None:
            messages.append({"role": "user", "content": exchange.told})
    return messages


def _function_name(tool: str) -> str:
    # The protocol allows letters, digits, _ and - in a function's name; ours allow a dot,
    # and a slash after the namespace.
    return tool.replace(".", "__dot__").replace("/", "__slash__")


def _offered_names(offers: list[Offer]) -> dict[str, str]:
    """The tool behind each function's name; ModelFailed when two would answer to one."""
    names = {_function_name(offer.name): offer.name for offer in offers}
    if len(names) != len({offer.name for offer in offers}):
        raise ModelFailed(
            "two tools of the agent have names that a model cannot tell apart", untouched=True
        )
    return names


def _function(offer: Offer) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": _function_name(offer.name),
            "description": offer.description,
            "parameters": offer.parameters or {"type": "object"},
        },
    }


def _reply(completion: Any, request: Request) -> ModelReply:
    # The client builds its values without looking: any field may be missing or of any type.
    try:
        message = completion.choices[0].message
        text, found = message.content, list(message.tool_calls or ())
    except (AttributeError, IndexError, TypeError) as error:
        raise ModelFailed(
            "the model endpoint answered without a choice", retryable=True
        ) from error
    usage = getattr(completion, "usage", None)
    model = getattr(completion, "model", None)
    return ModelReply(
        text=text,
        calls=_calls(found, request),
        tokens_in=getattr(usage, "prompt_tokens", None) or 0,
        tokens_out=getattr(usage, "completion_tokens", None) or 0,
        model=model if isinstance(model, str) else request.model,
        usage=_counts(usage, "prompt_tokens") and _counts(usage, "completion_tokens"),
    )


def _counts(usage: Any, field: str) -> bool:
    return type(getattr(usage, field, None)) is int


def _calls(found: list[Any], request: Request) -> tuple[ToolCall, ...]:
    ids = [getattr(item, "id", None) for item in found]
    usable = all(isinstance(id, str) and 0 < len(id) <= _ID_MAX for id in ids)
    if not usable or len(set(ids)) != len(ids):
        # Some endpoints give no ids, or one id twice: then the positions are the ids.
        ids = [f"call_{position}" for position in range(1, len(found) + 1)]
    tools = _offered_names(request.tools)
    calls: list[ToolCall] = []
    for id, item in zip(ids, found, strict=True):
        function = getattr(item, "function", None)
        name = str(getattr(function, "name", None) or "")
        calls.append(ToolCall(str(id), tools.get(name, name), _arguments(function)))
    return tuple(calls)


def _arguments(function: Any) -> Any:
    given = getattr(function, "arguments", None)
    try:
        return {} if given in (None, "") else json.loads(given, object_pairs_hook=_once)
    except (TypeError, ValueError, RecursionError):
        return None  # Which `conversation.checked` refuses.


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError when a key stands in it twice.

    Readers differ in which of two they take: what was logged might not be what is done.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _failed(error: openai.APIStatusError, key: str | None) -> ModelFailed:
    status = error.status_code
    after = error.response.headers.get("retry-after", "")
    return ModelFailed(
        f"the model endpoint answered {status}: {_said(error, key)}",
        retryable=status in _RETRYABLE_STATUS or status >= 500,
        retry_after_s=float(after) if _SECONDS.fullmatch(after) else None,
        # An endpoint that refuses has not asked its model; one that broke may have.
        untouched=400 <= status < 500 and status not in _MAYBE_WORKED_ON,
    )


def _said(error: openai.APIStatusError, key: str | None) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    said = str(body.get("message") or error.response.reason_phrase)
    # Masked before it is cut: the guard would not know half a key again.
    return seal.excerpt(said, _SAID_CHARACTERS, () if key is None else (key,))
