"""The provider `mock`: deterministic answers from the script in the manifest.

The N-th question of an agent gets the N-th turn of its script, so a replay gets the same
answers. Without a script it says what it was asked.
"""

import asyncio
import re
from dataclasses import replace
from typing import Any, Final

from runner.contract.errors import ModelFailed
from runner.contract.kinds.base import seconds
from runner.contract.kinds.model_endpoint import ScriptedTurn
from runner.conversation import Conversation, ModelReply, ToolCall
from runner.models import Estimate, Request

_PLACEHOLDER: Final = re.compile(r"\{(input\.[\w.-]+|previous|result\.\d+)\}")


def estimate(request: Request) -> Estimate:
    """What the next turn of the script takes, which is known."""
    reply = _next(request)
    return Estimate(reply.tokens_in, reply.tokens_in, reply.tokens_out)


async def ask(request: Request) -> ModelReply:
    """The next turn of the agent's script; ModelFailed when the script is over."""
    script = request.endpoint.script.get(request.conversation.agent)
    position = len(request.conversation.exchanges)
    if script is not None and position >= len(script):
        raise ModelFailed(
            f"the script of {request.conversation.agent} has {len(script)} turns, and turn "
            f"{position + 1} was asked for",
            untouched=True,
        )
    if script is not None:
        await asyncio.sleep(seconds(script[position].delay))
    reply = _next(request)
    if request.output_max is None:
        return reply
    return replace(reply, tokens_out=min(reply.tokens_out, request.output_max))


def _next(request: Request) -> ModelReply:
    """The turn of the script that is due; nothing when it is over."""
    conversation = request.conversation
    script = request.endpoint.script.get(conversation.agent)
    if script is None:
        return _echo(request)
    position = len(conversation.exchanges)
    if position >= len(script):
        return ModelReply(None)
    return _reply(script[position], conversation, position, request.model)


def _reply(
    turn: ScriptedTurn, conversation: Conversation, position: int, model: str
) -> ModelReply:
    return ModelReply(
        text=_filled(turn.reply, conversation) if turn.reply else None,
        calls=tuple(
            ToolCall(
                f"call_{position + 1}_{index + 1}",
                call.tool,
                _deep(call.arguments, conversation),
            )
            for index, call in enumerate(turn.calls)
        ),
        tokens_in=turn.input_tokens,
        tokens_out=turn.output_tokens,
        model=model,
    )


def _echo(request: Request) -> ModelReply:
    opening = request.conversation.opening()
    first_line = opening.splitlines()[0]
    return ModelReply(
        text=f"{request.conversation.agent}: {first_line}",
        tokens_in=len(opening) // 4 + 1,
        tokens_out=len(first_line) // 4 + 1,
        model=request.model,
    )


def _deep(value: Any, conversation: Conversation) -> Any:
    if isinstance(value, str):
        return _filled(value, conversation)
    if isinstance(value, dict):
        return {key: _deep(item, conversation) for key, item in value.items()}
    if isinstance(value, list):
        return [_deep(item, conversation) for item in value]
    return value


def _filled(template: str, conversation: Conversation) -> str:
    results = conversation.results()

    def value(match: re.Match[str]) -> str:
        word, _, rest = match[1].partition(".")
        if word == "input":
            return conversation.input.get(rest, "")
        if word == "previous":
            return conversation.previous or ""
        number = int(rest)
        return results[number - 1] if 0 < number <= len(results) else ""

    return _PLACEHOLDER.sub(value, template)
