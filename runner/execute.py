"""Drive one task: ask for the next move, make it through the guard, remember it.

The steps that the journal holds already are walked through again without being done again.
"""

import asyncio
from typing import Any

from runner import agent
from runner.agent import AskModel, CallTool, Finish, GiveUp, Step
from runner.contract.errors import LeaseLost, ModelFailed, OrlojError, Refused
from runner.contract.kinds.base import seconds
from runner.conversation import Conversation
from runner.guard import Guard
from runner.manifest_set import PlacedAgent


class Execution:
    """One claim of a task. `journal` holds the steps of earlier claims."""

    def __init__(self, guard: Guard, input: dict[str, str], journal: list[Step]) -> None:
        self._guard = guard
        self._input = input
        self._steps = [step for step in journal if step.finished]

    async def run(self) -> dict[str, Any]:
        """How the task ends, as the dispatcher is told: outcome, output, error."""
        output: str | None = None
        try:
            for name in self._guard.manifests.order:
                output = await self._agent(self._guard.manifests.agent(name), output)
        except TimeoutError:
            return _failure("retry", "limits.timeout ran out before the agent was done")
        except ModelFailed as error:
            outcome = "retry" if error.retryable else "failed"
            return _failure(outcome, str(error), error.retry_after_s)
        except LeaseLost:
            raise
        except OrlojError as error:
            return _failure("failed", str(error))
        return {"outcome": "succeeded", "output": output, "error": None}

    async def _agent(self, placed: PlacedAgent, previous: str | None) -> str:
        limit = placed.spec.limits.timeout
        async with asyncio.timeout(seconds(limit) if limit is not None else None):
            return await self._turn(placed, previous)

    async def _turn(self, placed: PlacedAgent, previous: str | None) -> str:
        name = self._guard.manifests.called(placed)
        opening = Conversation(placed.key.name, placed.spec.prompt, self._input, previous)
        while True:
            mine = [step for step in self._steps if step.agent == name]
            match agent.next_move(placed.spec, opening, mine):
                case AskModel(conversation):
                    number = self._next_number()
                    reply = await self._guard.ask_model(number, placed, conversation)
                    self._remember(number, name, "model", {}, reply.to_json())
                case CallTool(call):
                    number = self._next_number()
                    result = await self._guard.call_tool(number, placed, call)
                    request = {"call": call.id, "arguments": call.arguments}
                    self._remember(number, name, "tool", request, result)
                case Finish(text):
                    return text
                case GiveUp(reason):
                    raise Refused(f"{name}: {reason}")

    def _next_number(self) -> int:
        return len(self._steps) + 1

    def _remember(
        self, number: int, name: str, kind: str, request: dict[str, Any], result: dict[str, Any]
    ) -> None:
        self._steps.append(Step(number, name, kind, "", "done", request, result))


def _failure(outcome: str, error: str, retry_after_s: float | None = None) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "output": None,
        "error": error,
        "retry_after_s": retry_after_s,
    }
