"""Local endpoints in the protocols of Anthropic, Azure and Ollama, and streams of OpenAI's.

Each server gives the N-th answer to the N-th question, and the last one from then on, as
`ModelServer` does; and it refuses what the real one would refuse: another path, no key, a
field that the protocol needs. `talk.questions` are the bodies that came.

    with AnthropicServer(message("hello")).running() as talk: ... talk.url ...
    with AzureServer(completion("hello")).running() as talk: ...
    with OllamaServer(chat("hello")).running() as talk: ...
    with ModelServer(streamed("hello")).running() as talk: ...

Calls are `{"name": ..., "arguments": {...}}` everywhere; `cut_after` and `stall_after` of an
Answer (`dataclasses.replace`) break an answer off.
"""

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local_server import Answer, Received
from model_server import ModelServer, failure, said

Call = dict[str, Any]
Reply = Answer | Callable[[Received], Answer]


def events(*values: Any, named: bool = False, done: bool = False) -> Answer:
    """A stream of server-sent events; `named` gives each the name of its type."""
    lines = []
    for value in values:
        if named:
            lines.append(f"event: {value['type']}\n")
        lines.append(f"data: {json.dumps(value)}\n\n")
    if done:
        lines.append("data: [DONE]\n\n")
    return Answer(200, "".join(lines).encode(), {"Content-Type": "text/event-stream"})


def pieces(text: str) -> list[str]:
    """A text in pieces of a few characters; a long one in some hundred pieces."""
    size = max(3, len(text) // 200)
    return [text[start : start + size] for start in range(0, len(text), size)]


def streamed(
    text: str | None = None,
    calls: list[Call] | None = None,
    tokens: tuple[Any, Any] | None = (11, 7),
    finish: str | None = "stop",
) -> Answer:
    """A chat completion in pieces, its usage in the last one."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces(text or "")]
    for index, call in enumerate(calls or []):
        head = {"id": f"call-{index}", "type": "function"}
        function = {"name": call["name"], "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, **head, "function": function}]})
        for piece in pieces(json.dumps(call["arguments"])):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    chunks = [_chunk([{"index": 0, "delta": delta}]) for delta in deltas]
    if finish is not None:
        chunks.append(_chunk([{"index": 0, "delta": {}, "finish_reason": finish}]))
    if tokens is not None:
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        chunks.append(_chunk([]) | {"usage": usage})
    return events(*chunks, done=True)


def _chunk(choices: list[Any]) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "served"} | {
        "choices": choices
    }


def message(
    text: str | None = None,
    calls: list[Call] | None = None,
    tokens: tuple[Any, Any] = (11, 7),
    **usage: int,
) -> Answer:
    """A message of Anthropic's; `usage` are more counts, such as those of the cache."""
    return said(_message(_blocks(text, calls), tokens, usage))


def message_streamed(
    text: str | None = None,
    calls: list[Call] | None = None,
    tokens: tuple[int, int] = (11, 7),
    **usage: int,
) -> Answer:
    """The same in events."""
    sent: list[dict[str, Any]] = [
        {"type": "message_start", "message": _message([], (tokens[0], 1), usage)},
        {"type": "ping"},
    ]
    for index, block in enumerate(_blocks(text, calls)):
        empty = block | ({"text": ""} if "text" in block else {"input": {}})
        sent.append({"type": "content_block_start", "index": index, "content_block": empty})
        for piece in pieces(block.get("text") or json.dumps(block.get("input"))):
            delta = {"type": "text_delta", "text": piece}
            if "input" in block:
                delta = {"type": "input_json_delta", "partial_json": piece}
            sent.append({"type": "content_block_delta", "index": index, "delta": delta})
        sent.append({"type": "content_block_stop", "index": index})
    ended = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": tokens[1]}}
    sent += [{"type": "message_delta", **ended}, {"type": "message_stop"}]
    return events(*sent, named=True)


def anthropic_failure(status: int, type: str, message: str = "no", **headers: str) -> Answer:
    """An error as Anthropic words it."""
    error = {"type": type, "message": message}
    return said({"type": "error", "error": error}, status, **headers)


def _message(blocks: list[Any], tokens: tuple[Any, Any], usage: dict[str, int]) -> Any:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-served",
        "content": blocks,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1], **usage},
    }


def _blocks(text: str | None, calls: list[Call] | None) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [] if text is None else [{"type": "text", "text": text}]
    for number, call in enumerate(calls or []):
        named = {"id": f"toolu_{number}", "name": call["name"], "input": call["arguments"]}
        blocks.append({"type": "tool_use", **named})
    return blocks


def chat(
    text: str | None = None,
    calls: list[Call] | None = None,
    tokens: tuple[Any, Any] | None = (11, 7),
) -> Answer:
    """An answer of Ollama's own protocol."""
    return said(_chat(text, calls) | _counted(tokens))


def chat_streamed(
    text: str | None = None,
    calls: list[Call] | None = None,
    tokens: tuple[Any, Any] | None = (11, 7),
) -> Answer:
    """The same, a line a piece."""
    lines = [_chat(piece, None) for piece in pieces(text or "")]
    lines += [_chat("", calls)] if calls else []
    lines.append(_chat("", None) | _counted(tokens))
    body = "".join(json.dumps(line) + "\n" for line in lines)
    return Answer(200, body.encode(), {"Content-Type": "application/x-ndjson"})


def _chat(text: str | None, calls: list[Call] | None) -> dict[str, Any]:
    told: dict[str, Any] = {"role": "assistant", "content": text or ""}
    if calls:
        told["tool_calls"] = [{"function": call} for call in calls]
    return {"model": "llama-served", "message": told, "done": False}


def _counted(tokens: tuple[Any, Any] | None) -> dict[str, Any]:
    ended: dict[str, Any] = {"done": True, "done_reason": "stop"}
    if tokens is not None:
        ended |= {"prompt_eval_count": tokens[0], "eval_count": tokens[1]}
    return ended


class AnthropicServer(ModelServer):
    """Speaks the messages API. Its base_url is `url`, or `url` + `/v1`."""

    def _next(self, request: Received) -> Answer:
        refused = self._refused(request)
        return super()._next(request) if refused is None else refused

    def _refused(self, request: Received) -> Answer | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.path != "/v1/messages" or request.method != "POST":
            return anthropic_failure(404, "not_found_error", request.path)
        if not headers.get("x-api-key") or not headers.get("anthropic-version"):
            return anthropic_failure(401, "authentication_error", "no key or no version")
        body = json.loads(request.body)
        roles = [one["role"] for one in body.get("messages", [])]
        ids = [
            block["id"]
            for one in body.get("messages", [])
            if isinstance(one["content"], list)
            for block in one["content"]
            if block["type"] == "tool_use"
        ]
        alternate = all(role != after for role, after in itertools.pairwise(roles))
        if roles[:1] != ["user"] or not alternate or len(ids) != len(set(ids)):
            return anthropic_failure(400, "invalid_request_error", f"{roles} {ids}")
        if type(body.get("max_tokens")) is not int:
            return anthropic_failure(400, "invalid_request_error", "max_tokens: required")
        return None


class AzureServer(ModelServer):
    """Speaks chat completions at the address of a deployment."""

    def _next(self, request: Received) -> Answer:
        address = urlsplit(request.path)
        parts = address.path.split("/")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if parts[1:3] != ["openai", "deployments"] or parts[4:] != ["chat", "completions"]:
            return failure(404, "no such deployment")
        if "api-version" not in parse_qs(address.query):
            return failure(404, "Resource not found")
        if not headers.get("api-key"):
            return failure(401, "Access denied due to invalid subscription key")
        return super()._next(request)


class OllamaServer(ModelServer):
    """Speaks Ollama's own protocol. Its base_url is `url`."""

    def _next(self, request: Received) -> Answer:
        if request.path != "/api/chat" or request.method != "POST":
            return Answer(404, b"404 page not found", {"Content-Type": "text/plain"})
        if not json.loads(request.body).get("model"):
            return said({"error": "model is required"}, 400)
        return super()._next(request)
