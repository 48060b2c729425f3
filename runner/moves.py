"""The moves of a task's agents, made one after the other through the guard and remembered.

Steps are numbered through the whole task. A step that was asked for and has no result keeps
its number: its call has the same idempotency key when it is made again, and what people
decide about it fits it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from runner import agent
from runner.agent import AskModel, CallTool, Finish, GiveUp, Note, Step
from runner.contract.errors import Refused
from runner.conversation import Conversation
from runner.guard import Guard
from runner.manifest_set import PlacedAgent
from runner.place import Place, Review, Waits
from runner.workflow import Visit


@dataclass(frozen=True)
class Past:
    """What earlier claims of a task have left in the journal."""

    steps: list[Step] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)


@dataclass(frozen=True)
class Beside:
    """What an agent must know of the others of its task.

    `alone` says whether none of them works now; `wait` comes back when the agent may ask
    again for what it could not have, under the same number.
    """

    alone: Callable[[], bool]
    wait: Callable[[int], Awaitable[None]]


class Moves:
    """Knows the steps of a task, and makes the next ones."""

    def __init__(self, guard: Guard, input: dict[str, str], past: Past) -> None:
        self._guard = guard
        self._input = input
        self._steps = [step for step in past.steps if step.finished]
        self._open = [step for step in past.steps if not step.finished]
        self._kept = {one.number: one.step for one in past.visits if one.step is not None}
        numbers = [step.number for step in past.steps]
        self._last = max([*numbers, *self._kept.values()], default=0)

    def said(self, visit: int, placed: PlacedAgent, given: str | None) -> str | None:
        """What an agent said in a turn that is over; None when its steps do not tell."""
        move = self._next(visit, placed, given)
        return move.text if isinstance(move, Finish) else None

    def calling(self, visit: int, placed: PlacedAgent) -> bool:
        """Whether a tool call of a turn began and was not seen to end."""
        return any(step.kind == "tool" for step in self._of(self._open, visit, placed))

    async def turn(
        self, visit: int, placed: PlacedAgent, given: str | None, beside: Beside
    ) -> str:
        """What the agent says in the end; ModelFailed, Refused, LeaseLost."""
        while True:
            match self._next(visit, placed, given):
                case AskModel() | CallTool() as move:
                    number = self._number(visit, placed)
                    try:
                        await self._make(move, Place(number, visit, beside.alone()), placed)
                    except Waits:
                        self._open = [one for one in self._open if one.number != number]
                        self._kept[visit] = number
                        await beside.wait(number)
                case Note() as note:
                    self._note(note, Place(self._number(visit, placed), visit), placed)
                case Finish(text):
                    return text
                case GiveUp(reason):
                    raise Refused(f"{self._guard.manifests.called(placed)}: {reason}")

    async def reviewed(
        self, visit: int, placed: PlacedAgent, asked: Review, beside: Beside
    ) -> bool:
        """Whether an output goes on; else it is to be made anew. Refused where it may not."""
        before = [
            step
            for step in self._of(self._steps, visit, placed)
            if step.kind == "review" and step.request["review"] == asked.review
        ]
        if before and "approved" in (before[-1].result or {}):
            return True
        asked = replace(asked, cycle=len(before) + 1)
        while True:
            number = self._number(visit, placed)
            place = Place(number, visit, beside.alone())
            try:
                said = await self._guard.ask_review(place, placed, asked)
                break
            except Waits:
                self._kept[visit] = number
                await beside.wait(number)
        self._kept.pop(visit, None)
        if said["decision"] == "deny":
            raise Refused(f"its output was not let go on: {said['reason']}")
        what = "told" if said["decision"] == "changes" else "approved"
        name, request = self._guard.manifests.called(placed), {"review": asked.review}
        result = {what: said["reason"]}
        self._steps.append(Step(number, name, "review", "", "done", request, result, visit))
        return what == "approved"

    async def _make(self, move: AskModel | CallTool, place: Place, placed: PlacedAgent) -> None:
        request: dict[str, Any] = {}
        kind = "model" if isinstance(move, AskModel) else "tool"
        name = self._guard.manifests.called(placed)
        begun = Step(place.step, name, kind, "", "begun", request, None, place.visit)
        self._open = [*(one for one in self._open if one.number != place.step), begun]
        if isinstance(move, AskModel):
            reply = await self._guard.ask_model(place, placed, move.conversation)
            result = reply.to_json()
        else:
            result = await self._guard.call_tool(place, placed, move.call)
            request = {"call": move.call.id, "arguments": move.call.arguments}
        self._open.remove(begun)
        self._kept.pop(place.visit, None)
        done = Step(place.step, name, kind, "", "done", request, result, place.visit)
        self._steps.append(done)

    def _note(self, note: Note, place: Place, placed: PlacedAgent) -> None:
        name = self._guard.manifests.called(placed)
        where = {"visit": place.visit, "step": place.step}
        self._guard.tell("note", **where, agent=name, note=note.to_json())
        self._kept.pop(place.visit, None)
        self._steps.append(
            Step(
                place.step,
                name,
                "turn",
                note.name,
                "done",
                note.request,
                note.result,
                place.visit,
            )
        )

    def _next(self, visit: int, placed: PlacedAgent, given: str | None) -> agent.Move:
        opening = Conversation(placed.key.name, placed.spec.prompt, self._input, given)
        return agent.next_move(placed.spec, opening, self._of(self._steps, visit, placed))

    def _number(self, visit: int, placed: PlacedAgent) -> int:
        """The number of the next step: that of the one without a result, else a new one."""
        for step in self._of(self._open, visit, placed):
            return step.number
        if visit in self._kept:
            return self._kept[visit]
        self._last += 1
        return self._last

    def _of(self, steps: list[Step], visit: int, placed: PlacedAgent) -> list[Step]:
        name = self._guard.manifests.called(placed)
        return [
            step
            for step in steps
            if step.visit == visit or (step.visit == 0 and step.agent == name)
        ]
