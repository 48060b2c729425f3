"""What is said between an agent and its model. Pure values, JSON in and out."""

from dataclasses import dataclass, field
from typing import Any


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
    """What the model said: a text, or calls to make, and what it cost."""

    text: str | None
    calls: tuple[ToolCall, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    model: str = ""

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


@dataclass(frozen=True, slots=True)
class Exchange:
    """One reply of the model, and the answers to the calls in it so far, by call id."""

    reply: ModelReply
    answers: dict[str, str] = field(default_factory=dict)


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
