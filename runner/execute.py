"""Drive one task: ask for the next move, make it through the guard, remember it.

The steps that the journal holds already are walked through again without being done again.
An agent alone is one visit; the agents of a system are visited as its graph says (`course`).
"""

from typing import Any

from runner.contract.errors import LeaseLost, ModelFailed, OrlojError, Refused
from runner.contract.kinds.task import MessageRetry
from runner.course import TIMED_OUT, Course
from runner.guard import Guard
from runner.moves import Moves, Past
from runner.workflow import Graph


class Execution:
    """One claim of a task. `past` is what earlier claims left; `flow` what the task says."""

    def __init__(
        self, guard: Guard, input: dict[str, str], past: Past, flow: dict[str, Any]
    ) -> None:
        self._guard = guard
        self._moves = Moves(guard, input, past)
        self._visits = past.visits
        self._max_turns = flow.get("max_turns", 0)
        self._retry = MessageRetry.model_validate(flow.get("message_retry", {}))

    async def run(self) -> dict[str, Any]:
        """How the task ends, as the dispatcher is told: outcome, output, error."""
        try:
            output = await self._output()
        except TimeoutError:
            return _failure("retry", TIMED_OUT)
        except ModelFailed as error:
            outcome = "retry" if error.retryable else "failed"
            return _failure(outcome, str(error), error.retry_after_s)
        except LeaseLost:
            raise
        except OrlojError as error:
            return _failure("failed", str(error))
        return {"outcome": "succeeded", "output": output, "error": None}

    async def _output(self) -> str:
        manifests = self._guard.manifests
        course = Course(self._guard, self._moves, self._retry)
        if manifests.system is None:
            return await course.alone(manifests.agent(manifests.subject.name))
        if manifests.system.loops and not self._max_turns:
            raise Refused(
                f"the graph of {manifests.subject} has a loop: only a Task with max_turns can"
                " run it, which says how often it is gone"
            )
        return await course.through(Graph(manifests.system, self._max_turns), self._visits)


def _failure(outcome: str, error: str, retry_after_s: float | None = None) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "output": None,
        "error": error,
        "retry_after_s": retry_after_s,
    }
