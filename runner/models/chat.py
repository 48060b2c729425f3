"""Chat completions, OpenAI's protocol: what is in a question, what an answer says. Pure."""

import json
from typing import Any, Final

from runner.contract.errors import ModelFailed
from runner.conversation import Conversation, ModelReply, ToolCall
from runner.models import Request, reading, structured, tool_names

_OUTPUT_FIELDS: Final = {
    "openai": "max_completion_tokens",
    "azure": "max_completion_tokens",
    "azure-openai": "max_completion_tokens",
}


def sent(request: Request) -> dict[str, Any]:
    """All of a question that the model reads."""
    found: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(request.conversation),
    }
    if request.tools:
        found["tools"] = [tool_names.function(offer) for offer in request.tools]
    if request.schema is not None:
        way = request.endpoint.options.get("structured_output", "json_schema")
        asked = structured.response_format(request.schema, way)
        found |= {} if asked is None else {"response_format": asked}
    return found


def output_field(request: Request) -> str:
    """How the endpoint is told the longest answer: by the name that it knows."""
    usual = _OUTPUT_FIELDS.get(request.endpoint.provider, "max_tokens")
    return request.endpoint.options.get("output_limit", usual)


def reply(completion: Any, request: Request) -> ModelReply:
    """What a completion says; ModelFailed when it says nothing."""
    choices = reading.items(reading.field(completion, "choices"))
    message = reading.field(choices[0], "message") if choices else None
    calls = reading.field(message, "tool_calls")
    if message is None or isinstance(message, str) or not isinstance(calls, list | None):
        raise ModelFailed("the model endpoint answered without a choice", retryable=True)
    usage, model = reading.field(completion, "usage"), reading.field(completion, "model")
    tokens_in = reading.count(reading.field(usage, "prompt_tokens"))
    tokens_out = reading.count(reading.field(usage, "completion_tokens"))
    text = reading.field(message, "content")
    return ModelReply(
        # A model that may not answer in the shape that was asked for says so beside it.
        text=text if text is not None or calls else reading.field(message, "refusal"),
        calls=_calls(calls or [], request),
        tokens_in=tokens_in or 0,
        tokens_out=tokens_out or 0,
        model=model if isinstance(model, str) else request.model,
        usage=tokens_in is not None and tokens_out is not None,
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
                    "name": tool_names.shown(call.tool),
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


def _calls(found: list[Any], request: Request) -> tuple[ToolCall, ...]:
    ids = reading.call_ids([reading.field(item, "id") for item in found])
    tools = tool_names.offered(request.tools)
    calls: list[ToolCall] = []
    for id, item in zip(ids, found, strict=True):
        function = reading.field(item, "function")
        name = str(reading.field(function, "name") or "")
        given = reading.arguments(reading.field(function, "arguments"))
        calls.append(ToolCall(id, tools.get(name, name), given))
    return tuple(calls)
