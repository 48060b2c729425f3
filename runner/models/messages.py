"""The messages API, Anthropic's protocol: what a question is and what an answer says. Pure.

An answer of a shape is asked for as the call of a tool that is not there: every model knows
tools. The call becomes the text of the reply, and nobody is asked to make it.

Prompt caching pays from the second question on that begins with the same words: where an
agent has tools, its tools and its prompt are marked to be kept once they are long enough.
"""

import json
import re
from typing import Any, Final

from runner.contract.errors import ModelFailed
from runner.conversation import Conversation, Exchange, ModelReply, ToolCall
from runner.models import Offer, Request, reading, structured, tool_names

OUTPUT_DEFAULT: Final = 4_096
CACHED_BYTES_MIN: Final = 4_096
"""About the thousand tokens below which nothing is kept by any model."""
Blocks = list[dict[str, Any]]
_KEPT: Final = {"cache_control": {"type": "ephemeral"}}
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
INPUT_FIELDS: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)


def sent(request: Request) -> dict[str, Any]:
    """All of a question that the model reads."""
    conversation = request.conversation
    tools = [_tool(offer) for offer in request.tools]
    found: dict[str, Any] = {"model": request.model, "messages": _messages(conversation)}
    if request.schema is not None:
        tools += _shaped(found, request.schema, request)
    system = (
        [{"type": "text", "text": conversation.prompt}] if conversation.prompt.strip() else []
    )
    _keep(tools, system)
    found |= {"tools": tools} if tools else {}
    found |= {"system": system} if system else {}
    return found


def output_max(request: Request) -> int:
    """The longest answer: the protocol wants one named, and the smaller of two holds."""
    declared = int(request.endpoint.options.get("max_tokens", OUTPUT_DEFAULT))
    if request.output_max is None:
        return declared
    if "max_tokens" not in request.endpoint.options:
        return request.output_max
    return min(declared, request.output_max)


def reply(message: Any, request: Request) -> ModelReply:
    """What a message says; ModelFailed when it says nothing."""
    content = reading.field(message, "content")
    if not isinstance(content, list):
        raise ModelFailed("the model endpoint answered without content", retryable=True)
    texts = [
        reading.field(block, "text")
        for block in content
        if reading.field(block, "type") == "text"
    ]
    if not all(isinstance(text, str) for text in texts):
        raise ModelFailed("the model answered with something that is no text")
    uses = [block for block in content if reading.field(block, "type") == "tool_use"]
    shaped, uses = _apart(uses, request)
    text = "".join(texts) if texts else None
    usage, model = reading.field(message, "usage"), reading.field(message, "model")
    tokens_in, tokens_out = tokens(usage)
    return ModelReply(
        text=shaped if shaped is not None and not uses else text,
        calls=_calls(uses, request),
        tokens_in=tokens_in or 0,
        tokens_out=tokens_out or 0,
        model=model if isinstance(model, str) else request.model,
        usage=tokens_in is not None and tokens_out is not None,
    )


def tokens(usage: Any) -> tuple[int | None, int | None]:
    """What was read, from a cache or not, and what was written; None: nobody says."""
    read, *cached = (reading.count(reading.field(usage, name)) for name in INPUT_FIELDS)
    total = None if read is None else read + sum(count or 0 for count in cached)
    return total, reading.count(reading.field(usage, "output_tokens"))


def _shaped(
    found: dict[str, Any], schema: dict[str, Any], request: Request
) -> list[dict[str, Any]]:
    way = request.endpoint.options.get("structured_output", "tool")
    if way == "json_schema":
        found["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if way != "tool":
        return []
    # With tools of its own the model may still choose one of them instead.
    named = {"type": "tool", "name": structured.TOOL}
    found["tool_choice"] = {"type": "any"} if request.tools else named
    told = "Gives the final answer. Call it once, when everything else is done."
    return [{"name": structured.TOOL, "description": told, "input_schema": schema}]


def _apart(uses: list[Any], request: Request) -> tuple[str | None, list[Any]]:
    """The answer of the shape that was asked for, if it is there, and the calls to make."""
    way = request.endpoint.options.get("structured_output", "tool")
    if request.schema is None or way != "tool":
        return None, uses
    given = [use for use in uses if reading.field(use, "name") == structured.TOOL]
    rest = [use for use in uses if reading.field(use, "name") != structured.TOOL]
    if not given:
        return None, rest
    try:
        return json.dumps(reading.field(given[0], "input"), ensure_ascii=False), rest
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFailed("the model's answer is no JSON") from error


def _keep(tools: list[dict[str, Any]], system: list[dict[str, Any]]) -> None:
    length = len(json.dumps([tools, system], ensure_ascii=False).encode("utf-8", "replace"))
    if tools and length >= CACHED_BYTES_MIN:
        # A mark keeps all that stands before it, and tools stand before the prompt.
        (system or tools)[-1].update(_KEPT)
        tools[-1].update(_KEPT)


def _tool(offer: Offer) -> dict[str, Any]:
    return {
        "name": tool_names.shown(offer.name),
        "description": offer.description,
        "input_schema": {"type": "object"} | offer.parameters,
    }


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    opening: Blocks = [{"type": "text", "text": conversation.opening()}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": opening}]
    for number, exchange in enumerate(conversation.exchanges, start=1):
        said, told = _exchanged(exchange, number)
        for role, blocks in (("assistant", said), ("user", told)):
            # The protocol refuses a message without content, and wants the roles by turns.
            if blocks and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            elif blocks:
                messages.append({"role": role, "content": blocks})
    return messages


def _exchanged(exchange: Exchange, number: int) -> tuple[Blocks, Blocks]:
    """What the model said, and what it was told after it."""
    text, calls = exchange.reply.text, exchange.reply.calls
    said: Blocks = []
    if text is not None and text.strip():
        said.append({"type": "text", "text": text})
    told: Blocks = []
    for position, call in enumerate(calls, start=1):
        # No two calls of a conversation may have one id, and another endpoint may have
        # given ids that this protocol does not know, or the same ones every time.
        own = _CALL_ID.fullmatch(call.id) and not call.id.startswith("call")
        id = call.id if own else f"call_{number}_{position}"
        name = tool_names.shown(call.tool)
        said.append({"type": "tool_use", "id": id, "name": name, "input": call.arguments})
        content = exchange.answers[call.id]
        told.append({"type": "tool_result", "tool_use_id": id, "content": content})
    if exchange.told is not None:
        told.append({"type": "text", "text": exchange.told})
    return said, told


def _calls(uses: list[Any], request: Request) -> tuple[ToolCall, ...]:
    ids = reading.call_ids([reading.field(use, "id") for use in uses])
    tools = tool_names.offered(request.tools)
    return tuple(
        ToolCall(id, tools.get(name, name), reading.field(use, "input"))
        for id, use, name in (
            (id, use, str(reading.field(use, "name") or ""))
            for id, use in zip(ids, uses, strict=True)
        )
    )
