"""What an agent does next. Pure: the journal in, the next move out.

Every step of a task stands in the journal. A task claimed again runs through the same
moves and finds the finished steps there, so nothing is done twice.
"""

from dataclasses import dataclass
from typing import Any

from runner.contract.kinds import Agent
from runner.conversation import Conversation, Exchange, ToolCall, reply_from_json


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the journal. `number` counts through the whole task, from 1."""

    number: int
    agent: str
    kind: str
    name: str
    phase: str
    request: dict[str, Any]
    result: dict[str, Any] | None
    visit: int = 0
    """The turn of an agent that it belongs to; 0: it was made when each agent had one."""

    @property
    def finished(self) -> bool:
        """Whether its result stands; a model call that failed is asked again."""
        return self.phase in {"done", "denied"} or (
            self.phase == "failed" and self.kind == "tool"
        )

    def to_json(self) -> list[Any]:
        """As it goes to a worker; `Step(*value)` reads it."""
        return [getattr(self, name) for name in self.__slots__]


@dataclass(frozen=True, slots=True)
class AskModel:
    """Ask the model, with this conversation."""

    conversation: Conversation


@dataclass(frozen=True, slots=True)
class CallTool:
    """Make this call."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Finish:
    """The agent is done; this is what it says."""

    text: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The agent cannot finish."""

    reason: str


Move = AskModel | CallTool | Finish | GiveUp


def next_move(agent: Agent, opening: Conversation, steps: list[Step]) -> Move:
    """The next move of an agent, from its opening and its finished steps in order."""
    exchanges = _exchanges(steps)
    if exchanges:
        last = exchanges[-1]
        for call in last.reply.calls:
            if call.id not in last.answers:
                return CallTool(call)
        if not last.reply.calls:
            return Finish(last.reply.text or "")
    if len(exchanges) >= agent.limits.max_steps:
        return GiveUp(
            f"limits.max_steps ({agent.limits.max_steps}) reached before an answer; "
            "raise it, or make the prompt's task smaller"
        )
    return AskModel(
        Conversation(
            opening.agent, opening.prompt, opening.input, opening.previous, tuple(exchanges)
        )
    )


def answer_text(result: dict[str, Any]) -> str:
    """What the model is told of a tool call: its content, or why there is none."""
    if "content" in result:
        return str(result["content"])
    code = f" ({result['code']})" if "code" in result else ""
    if "denied" in result:
        return f"Denied{code}: {result['denied']}"
    return f"Error{code}: {result.get('error', 'unknown')}"


def _exchanges(steps: list[Step]) -> list[Exchange]:
    exchanges: list[Exchange] = []
    for step in steps:
        assert step.finished
        assert step.result is not None
        if step.kind == "model":
            exchanges.append(Exchange(reply_from_json(step.result)))
        else:
            exchanges[-1].answers[step.request["call"]] = answer_text(step.result)
    return exchanges
