"""What is said between an agent and its model. Pure values, JSON in and out.

A reply is what a stranger wrote. `checked` lets through what can be stored, sent and
walked through without harm, and nothing else.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from runner.contract.errors import ModelFailed

CALLS_MAX: Final = 64
DEPTH_MAX: Final = 32
CHARACTERS_MAX: Final = 1_048_576
NAME_MAX: Final = 260  # A namespace, a slash and a name.
TOKENS_MAX: Final = 10**12


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. `id` ties the answer to it."""

    id: str
    tool: str
    arguments: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {"id": self.id, "tool": self.tool, "arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What the model said: a text, or calls to make, and what it cost.

    `usage` says whether the endpoint counted the tokens; without it nobody knows them.
    """

    text: str | None
    calls: tuple[ToolCall, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    model: str = ""
    usage: bool = True

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "text": self.text,
            "calls": [call.to_json() for call in self.calls],
            "model": self.model,
        }


def reply_from_json(value: dict[str, Any]) -> ModelReply:
    """A reply out of the journal; its tokens were counted when it was written."""
    calls = tuple(
        ToolCall(call["id"], call["tool"], call["arguments"]) for call in value["calls"]
    )
    return ModelReply(value["text"], calls, model=value.get("model", ""))


def checked(reply: ModelReply) -> ModelReply:
    """The reply, its token counts bounded; ModelFailed when it cannot be worked with."""
    if not isinstance(reply.text, str | None):
        raise ModelFailed("the model answered with something that is no text")
    if len(reply.calls) > CALLS_MAX:
        raise ModelFailed(f"the model asked for more than {CALLS_MAX} calls at once")
    for call in reply.calls:
        if not isinstance(call.tool, str) or not 0 < len(call.tool) <= NAME_MAX:
            raise ModelFailed("the model asked for a tool without a usable name")
        if not isinstance(call.arguments, dict) or _deeper(call.arguments, DEPTH_MAX):
            raise ModelFailed(
                "the model asked for a tool with arguments that are no JSON object of at "
                f"most {DEPTH_MAX} levels"
            )
    try:
        size = len(json.dumps(reply.to_json(), ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise ModelFailed("the model wrote a number that JSON does not have") from error
    if size > CHARACTERS_MAX:
        raise ModelFailed(f"the model's reply is longer than {CHARACTERS_MAX} characters")
    return counted(reply)


def counted(reply: ModelReply) -> ModelReply:
    """The reply with token counts that can be worked with; others are no usage."""
    tokens = (reply.tokens_in, reply.tokens_out)
    usage = reply.usage and all(type(count) is int and count >= 0 for count in tokens)
    return replace(
        reply,
        tokens_in=_tokens(reply.tokens_in),
        tokens_out=_tokens(reply.tokens_out),
        usage=usage,
    )


def charge(reply: ModelReply | None, error: ModelFailed | None) -> str:
    """How a call is settled: by what the endpoint counted, for nothing, or as reserved."""
    if reply is not None and reply.usage:
        return "usage"
    return "nothing" if error is not None and error.untouched else "estimate"


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)


def _tokens(count: Any) -> int:
    return min(max(count, 0), TOKENS_MAX) if isinstance(count, int) else 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One reply of the model, and the answers to the calls in it so far, by call id.

    `told` is what the model is told of a reply that cannot be taken, after it.
    """

    reply: ModelReply
    answers: dict[str, str] = field(default_factory=dict)
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything an agent's model is told: its prompt, its work, and what happened since."""

    agent: str
    prompt: str
    input: dict[str, str]
    previous: str | None
    exchanges: tuple[Exchange, ...] = ()

    def opening(self) -> str:
        """The first message to the model: the task's inputs, and the work handed over."""
        parts = [f"{name}: {value}" for name, value in sorted(self.input.items())]
        if self.previous is not None:
            parts.append(f"Result of the agent before you:\n{self.previous}")
        return "\n\n".join(parts) or "Begin."

    def results(self) -> list[str]:
        """The answers to all tool calls, in the order they were made."""
        return [
            exchange.answers[call.id]
            for exchange in self.exchanges
            for call in exchange.reply.calls
            if call.id in exchange.answers
        ]
