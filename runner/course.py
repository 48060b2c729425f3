"""The course of a task through its agents: visits begun as the graph says, beside each other.

    ready ──> begin, told ──> moves ──> end, told ──> ready ──> … ──> nothing left: the output

What began and what ended is told before anything that follows from it is asked, so the
journal always knows why an agent works. When one agent must wait for people or for room, the
others go on as far as they can; only then the task is parked. When one fails for good, the
others end the calls that they are in, and begin none.
"""

import asyncio
import random
from dataclasses import replace
from functools import partial
from typing import Final

from runner import retry, workflow
from runner.contract.errors import LeaseLost, ModelFailed, OrlojError, Refused
from runner.contract.kinds.base import seconds
from runner.contract.kinds.task import MessageRetry
from runner.guard import Guard
from runner.manifest_set import PlacedAgent
from runner.moves import Beside, Moves
from runner.place import Review
from runner.retry import Policy
from runner.workflow import Graph, State, Visit
from runner.workflow.graph import VISITS_MAX

WAIT_HERE_MAX_S: Final = 30.0
"""A longer wait between tries is the task's, which holds no worker meanwhile."""
TIMED_OUT: Final = "limits.timeout ran out before the agent was done"
_random = random.SystemRandom()

Failure = OrlojError | TimeoutError


class _Stopped(Exception):
    pass


class Course:
    """Takes one claim of a task through its agents."""

    def __init__(self, guard: Guard, moves: Moves, retry: MessageRetry) -> None:
        self._guard = guard
        self._moves = moves
        self._retry = _Retry(retry)
        self._visits: list[Visit] = []
        self._failures: dict[int, Failure] = {}
        self._working = 0
        self._waiting: list[asyncio.Event] = []
        self._stopping = False

    async def alone(self, placed: PlacedAgent) -> str:
        """What an agent says that works for itself; ModelFailed, TimeoutError, Refused."""
        self._working = attempt = 1
        while True:
            try:
                return await self._turn(1, placed, None)
            except (ModelFailed, TimeoutError) as error:
                wait_s = self._retry.wait_s(error, attempt)
                if wait_s is None or self._moves.calling(1, placed):
                    raise
                await asyncio.sleep(wait_s)
                attempt += 1

    async def through(self, graph: Graph, visits: list[Visit]) -> str:
        """What a system says; the failure of the agent that ends its work."""
        running: set[asyncio.Task[None]] = set()
        try:
            begun = self._resume(graph, visits)
            while True:
                begun += [] if self._stopping else self._begin(graph)
                running |= {asyncio.create_task(self._visit(graph, visit)) for visit in begun}
                if not running:
                    said = self._end(graph)
                    back = await self._sent_back(graph, said)
                    if back is None:
                        return said
                    begun = [back]
                    continue
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                self._stopping |= workflow.failure(graph, self._visits) is not None
                begun = []
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _resume(self, graph: Graph, visits: list[Visit]) -> list[Visit]:
        """The visits to go on with; what failed and ended an earlier try is among them."""
        for visit in sorted(visits, key=lambda one: one.number):
            self._visits.append(visit)
            if visit.state is State.DONE:
                given = workflow.whole(graph, self._visits, visit)
                said = self._moves.said(visit.number, self._placed(visit), given)
                if said is None:  # It was sent back to be made anew.
                    self._tell(replace(visit, state=State.RUNNING))
                else:
                    self._put(replace(visit, output=said))
        while (failed := workflow.failure(graph, self._visits)) is not None:
            again = replace(failed, state=State.RUNNING, error=None, attempt=failed.attempt + 1)
            self._tell(again)
        return [visit for visit in self._visits if visit.state is State.RUNNING]

    def _begin(self, graph: Graph) -> list[Visit]:
        begun = []
        for start in workflow.ready(graph, self._visits):
            if len(self._visits) >= VISITS_MAX:
                raise Refused(
                    f"the task made {VISITS_MAX} turns and is not done; lower max_turns, or put"
                    " conditions on the edges of its system"
                )
            visit = Visit.begun(len(self._visits) + 1, start)
            self._visits.append(visit)
            self._tell(visit)
            begun.append(visit)
        return begun

    async def _visit(self, graph: Graph, visit: Visit) -> None:
        """Take a visit to its end, tried again as `message_retry` says; LeaseLost."""
        placed, given = self._placed(visit), workflow.whole(graph, self._visits, visit)
        while True:
            self._working += 1
            try:
                said = await self._turn(visit.number, placed, given)
            except _Stopped:
                return  # It stands as running, and goes on if the task is tried again.
            except LeaseLost:
                raise
            except (OrlojError, TimeoutError) as error:
                wait_s = self._retry.wait_s(error, self._now(visit).attempt)
                if wait_s is None or self._moves.calling(visit.number, placed):
                    self._failures[visit.number] = error
                    failed = replace(self._now(visit), state=State.FAILED, step=None)
                    self._tell(replace(failed, error=_words(error)))
                    return
            else:
                self._tell(replace(self._now(visit), state=State.DONE, step=None, output=said))
                return
            finally:
                self._working -= 1
                self._wake()
            self._tell(replace(self._now(visit), attempt=self._now(visit).attempt + 1))
            await asyncio.sleep(wait_s)

    async def _turn(self, number: int, placed: PlacedAgent, given: str | None) -> str:
        limit = placed.spec.limits.timeout
        async with asyncio.timeout(seconds(limit) if limit is not None else None) as bound:
            beside = Beside(self._alone, partial(self._wait, bound, number))
            while True:
                said = await self._moves.turn(number, placed, given, beside)
                review = self._review_of(placed)
                if review is None or await self._moves.reviewed(
                    number, placed, Review(review, said, 1), beside
                ):
                    return said

    def _review_of(self, placed: PlacedAgent) -> str | None:
        """The pointer to the review of what an agent says, if there is one."""
        system = self._guard.manifests.system
        name = self._guard.manifests.called(placed)
        reviewed = system is not None and system.node(name).review is not None
        return f"/spec/graph/{name}/review" if reviewed else None

    async def _sent_back(self, graph: Graph, said: str) -> Visit | None:
        """Have the output of the task reviewed; the visit that is to make it anew, if any."""
        if graph.system.completion_review is None:
            return None
        last = workflow.speakers(graph, self._visits)
        beside = Beside(lambda: True, _nobody_else)
        asked = Review("/spec/completion_review", said, 1, changes_allowed=len(last) == 1)
        placed = self._placed(last[-1])
        if await self._moves.reviewed(last[-1].number, placed, asked, beside):
            return None
        again = replace(last[-1], state=State.RUNNING, output=None)
        self._tell(again)
        return again

    def _alone(self) -> bool:
        """Whether no other agent works, asked before each call; _Stopped."""
        if self._stopping:
            raise _Stopped
        return self._working == 1

    async def _wait(self, bound: asyncio.Timeout, number: int, step: int) -> None:
        """Let the others go on, and come back when all of them are done or wait as well.

        The agent's own time stands still meanwhile.
        """
        loop, until = asyncio.get_running_loop(), bound.when()
        left_s = None if until is None else until - loop.time()
        bound.reschedule(None)
        self._tell(replace(self._visits[number - 1], step=step))
        turn = asyncio.Event()
        self._waiting.append(turn)
        self._working -= 1
        self._wake()
        await turn.wait()
        bound.reschedule(None if left_s is None else loop.time() + left_s)

    def _wake(self) -> None:
        """When nobody works any more, the first of those that wait asks again: the task is
        parked, or it goes on. When the task is to end, all of them see it."""
        while self._waiting and (self._stopping or self._working == 0):
            self._waiting.pop(0).set()
            self._working += 1

    def _end(self, graph: Graph) -> str:
        failed = workflow.failure(graph, self._visits)
        if failed is not None:
            raise self._failures[failed.number]
        output = workflow.output(graph, self._visits)
        if output is not None:
            return output
        if self._failures:
            raise next(iter(self._failures.values()))
        raise Refused("every agent of the system failed, and none is left to say something")

    def _placed(self, visit: Visit) -> PlacedAgent:
        return self._guard.manifests.agent(visit.agent)

    def _now(self, visit: Visit) -> Visit:
        return self._visits[visit.number - 1]

    def _put(self, visit: Visit) -> None:
        self._visits[visit.number - 1] = visit

    def _tell(self, visit: Visit) -> None:
        self._put(visit)
        self._guard.tell("visit", visit=visit.to_json())


class _Retry:
    """When a turn that failed is made again, by the task's `message_retry`."""

    def __init__(self, spec: MessageRetry) -> None:
        backoff_s, most_s = seconds(spec.backoff or "0s"), seconds(spec.max_backoff)
        self._policy = Policy(spec.max_attempts or 1, backoff_s, most_s, spec.jitter)
        self._final = spec.non_retryable

    def wait_s(self, error: Failure, attempt: int) -> float | None:
        """How long to wait before it is tried again here; None: it is not."""
        may = isinstance(error, TimeoutError) or (
            isinstance(error, ModelFailed) and error.retryable
        )
        named = any(text in _words(error) for text in self._final)
        if not may or named or attempt >= self._policy.attempts_max:
            return None
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        wait_s = max(asked_s, retry.wait_s(attempt, self._policy, _random.random()))
        return wait_s if wait_s <= WAIT_HERE_MAX_S else None


async def _nobody_else(_: int) -> None:
    raise AssertionError("the task waits for an agent, and none of them works")


def _words(error: Failure) -> str:
    return TIMED_OUT if isinstance(error, TimeoutError) else str(error)
