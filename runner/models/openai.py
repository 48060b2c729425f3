"""OpenAI and every endpoint that speaks its chat completions. The only caller of openai.

The client's own retries are off: a retry is a matter of the task, where it is counted and
logged. Nothing is read from the process environment.
"""

import json
from functools import lru_cache
from typing import Any, Final

import openai

from runner.contract.errors import ModelFailed
from runner.contract.kinds.base import seconds
from runner.conversation import Conversation, ModelReply, ToolCall
from runner.models import Offer, Request

_BASE_URLS: Final = {
    "openai": "https://api.openai.com/v1",
    "ollama": "http://127.0.0.1:11434/v1",
}
_RETRYABLE_STATUS: Final = frozenset({408, 409, 429})


async def ask(request: Request) -> ModelReply:
    """The reply; ModelFailed, retryable when the endpoint was busy or out of reach."""
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(request.conversation),
    }
    if request.tools:
        arguments["tools"] = [_function(offer) for offer in request.tools]
    try:
        completion = await _client(*_address(request)).chat.completions.create(**arguments)
    except openai.APITimeoutError as error:
        raise ModelFailed(
            "the model endpoint did not answer in time", retryable=True
        ) from error
    except openai.APIConnectionError as error:
        raise ModelFailed("the model endpoint cannot be reached", retryable=True) from error
    except openai.APIStatusError as error:
        raise _failed(error) from error
    except openai.OpenAIError as error:
        raise ModelFailed(f"the model client refused: {type(error).__name__}") from error
    return _reply(completion, request)


def _address(request: Request) -> tuple[str, str, float]:
    provider = request.endpoint.provider
    url = request.endpoint.base_url or _BASE_URLS.get(provider)
    if url is None:
        raise ModelFailed("the ModelEndpoint needs base_url")
    if provider == "ollama" and not url.rstrip("/").endswith("/v1"):
        url = url.rstrip("/") + "/v1"
    if request.key is None and provider == "openai":
        raise ModelFailed(
            "the ModelEndpoint's secret has no value on this host; "
            "check spec.auth.secretRef, its Secret and the setting secrets.env"
        )
    return url, request.key or "none", seconds(request.endpoint.timeout)


@lru_cache(maxsize=32)
def _client(url: str, key: str, timeout_s: float) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url, api_key=key, timeout=timeout_s, max_retries=0)


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
    return messages


def _function_name(tool: str) -> str:
    # The protocol allows letters, digits, _ and - in a function's name; ours allow a dot.
    return tool.replace(".", "__dot__")


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
    if not completion.choices:
        raise ModelFailed("the model endpoint answered without a choice", retryable=True)
    message = completion.choices[0].message
    usage = completion.usage
    return ModelReply(
        text=message.content,
        calls=tuple(_call(call) for call in message.tool_calls or ()),
        tokens_in=usage.prompt_tokens if usage else 0,
        tokens_out=usage.completion_tokens if usage else 0,
        model=completion.model or request.model,
    )


def _call(call: Any) -> ToolCall:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except (AttributeError, ValueError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ModelFailed("the model asked for a tool with arguments that are no JSON object")
    return ToolCall(call.id, call.function.name.replace("__dot__", "."), arguments)


def _failed(error: openai.APIStatusError) -> ModelFailed:
    status = error.status_code
    after = error.response.headers.get("retry-after", "")
    return ModelFailed(
        f"the model endpoint answered {status}: {_said(error)}",
        retryable=status in _RETRYABLE_STATUS or status >= 500,
        retry_after_s=float(after) if after.replace(".", "", 1).isdigit() else None,
    )


def _said(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.response.reason_phrase)[:300]
