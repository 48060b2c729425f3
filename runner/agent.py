"""What an agent does next. Pure: the journal in, the next move out.

    ask the model ──> its calls, one after the other ──> ask again ──> … ──> a text
    a text ──> all there that the turn must hold? ──> finish
                └── no ──> the model is told what is missing, REPAIRS_MAX times ──> violation

Every step of a task stands in the journal. A task claimed again runs through the same
moves and finds the finished steps there, so nothing is done twice. What this module decides
for itself, without a call, is a note: a step as well, so that a replay finds it.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from runner import turn_contract
from runner.contract.audit_entry import canonical
from runner.contract.kinds import Agent
from runner.conversation import Conversation, Exchange, ToolCall, reply_from_json

REPAIRS_MAX: Final = 2
"""How often a model is told in one turn what its answer lacks."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the journal. `number` counts through the whole task, from 1.

    `visit` is the visit of its agent that it belongs to; 0: written before there were any.
    """

    number: int
    agent: str
    kind: str
    name: str
    phase: str
    request: dict[str, Any]
    result: dict[str, Any] | None
    visit: int = 0

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


class Noted(StrEnum):
    """What a note says; the name of its step."""

    REPEATED = "repeated"
    """A call stands in the journal already, and was not made again."""
    REPAIR = "repair"
    """The model is told what its answer lacks."""
    VIOLATED = "violated"
    """The turn ends without what it must hold."""


@dataclass(frozen=True, slots=True)
class Note:
    """Call nothing: write this down as a step, and go on from there.

    `outcome`, `reason` and `field` (of `spec.execution`) are for the log.
    """

    name: Noted
    request: dict[str, Any]
    result: dict[str, Any]
    outcome: str
    reason: str
    field: str
    tool: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it goes to the dispatcher."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Finish:
    """The agent is done; this is what it says."""

    text: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The agent cannot finish."""

    reason: str


Move = AskModel | CallTool | Note | Finish | GiveUp


@dataclass(slots=True)
class _Story:
    """What the steps of a turn tell. `made` are the calls that succeeded, by what they are."""

    exchanges: list[Exchange] = field(default_factory=list)
    made: dict[str, Step] = field(default_factory=dict)
    tools: set[str] = field(default_factory=set)
    content: str | None = None
    """What the last call that succeeded answered."""
    repairs: int = 0
    sent_back: int = 0
    """How often a person had the answer changed."""
    violated: bool = False


def next_move(agent: Agent, opening: Conversation, steps: list[Step]) -> Move:
    """The next move of an agent, from its opening and its finished steps in order."""
    story = _told(steps)
    stops = agent.execution.tool_use_behavior == "stop_on_first_tool" and not story.sent_back
    if stops and story.content is not None:
        found = turn_contract.judge(agent.execution, story.content, story.tools)
        if found.met:
            return Finish(found.text)
    if story.exchanges:
        last = story.exchanges[-1]
        for call in last.reply.calls:
            if call.id not in last.answers:
                return _called(agent, story, call)
        if not last.reply.calls and last.told is None:
            return _closed(agent, story, last.reply.text or "")
    if len(story.exchanges) >= agent.limits.max_steps + story.repairs + story.sent_back:
        return _at_the_limit(agent, story)
    return AskModel(replace(opening, exchanges=tuple(story.exchanges)))


def answer_text(result: dict[str, Any]) -> str:
    """What the model is told of a tool call: its content, or why there is none."""
    if "content" in result:
        return str(result["content"])
    code = f" ({result['code']})" if "code" in result else ""
    if "denied" in result:
        return f"Denied{code}: {result['denied']}"
    return f"Error{code}: {result.get('error', 'unknown')}"


def _called(agent: Agent, story: _Story, call: ToolCall) -> Move:
    """Make a call, unless it stands in the journal and the manifest says what that means."""
    policy = agent.execution.duplicate_tool_call_policy
    before = story.made.get(_same(call)) if policy is not None else None
    if before is None or policy is None:
        return CallTool(call)
    reason = f"the same call succeeded in step {before.number}"
    return Note(
        Noted.REPEATED,
        {"call": call.id, "tool": call.tool, "arguments": call.arguments},
        {"denied": reason} if policy == "deny" else {"repeats": before.number},
        policy,
        reason,
        "duplicate_tool_call_policy",
        call.tool,
    )


def _closed(agent: Agent, story: _Story, text: str) -> Move:
    """What follows when the model says that it is done."""
    found = turn_contract.judge(agent.execution, text, story.tools)
    if found.met:
        return Finish(found.text)
    observed = found.shaped and agent.execution.on_contract_violation == "observe"
    if story.violated:
        return Finish(found.text) if observed else GiveUp(found.reason)
    if story.repairs < REPAIRS_MAX:
        return Note(
            Noted.REPAIR,
            {"repair": story.repairs + 1},
            {"told": found.repair},
            "told",
            found.reason,
            found.field,
        )
    return Note(
        Noted.VIOLATED,
        {"repairs": story.repairs},
        {"lacks": found.reason},
        "observed" if observed else "failed",
        found.reason,
        found.field,
    )


def _at_the_limit(agent: Agent, story: _Story) -> Move:
    """A turn that may ask no more: over all the same, if what it must hold is there."""
    limit = agent.limits.max_steps
    reason = f"limits.max_steps ({limit}) reached before an answer"
    if agent.execution.profile == "contract":
        said = [text for one in story.exchanges if (text := one.reply.text)]
        text = said[-1] if said else story.content or ""
        found = turn_contract.judge(agent.execution, text, story.tools)
        if found.met:
            return Finish(found.text)
        reason = f"{reason}; {found.reason}"
    return GiveUp(f"{reason}; raise it, or make the prompt's task smaller")


def _same(call: ToolCall) -> str:
    """What makes two calls one: the tool, and the arguments as canonical JSON."""
    return canonical([call.tool, call.arguments])


def _told(steps: list[Step]) -> _Story:
    story = _Story()
    for step in steps:
        assert step.finished
        assert step.result is not None
        if step.kind == "model":
            story.exchanges.append(Exchange(reply_from_json(step.result)))
        elif step.kind == "tool":
            _take_in(story, step, step.result)
        elif step.kind == "review":
            if "told" in step.result:
                story.sent_back += 1
                told = f"A person read your answer and wants changes: {step.result['told']}"
                story.exchanges[-1] = replace(story.exchanges[-1], told=told)
        elif step.name == Noted.REPEATED:
            _repeat(story, step, step.result)
        elif step.name == Noted.REPAIR:
            story.repairs += 1
            story.exchanges[-1] = replace(story.exchanges[-1], told=step.result["told"])
        else:
            story.violated = True
    return story


def _take_in(story: _Story, step: Step, result: dict[str, Any]) -> None:
    last = story.exchanges[-1]
    last.answers[step.request["call"]] = answer_text(result)
    if "content" not in result:
        return
    story.content = str(result["content"])
    for call in last.reply.calls:
        if call.id == step.request["call"]:
            story.tools.add(call.tool)
            story.made.setdefault(_same(call), step)


def _repeat(story: _Story, step: Step, result: dict[str, Any]) -> None:
    answer = answer_text(result)
    if "repeats" in result:
        before = next(one for one in story.made.values() if one.number == result["repeats"])
        assert before.result is not None
        answer = (
            "This call was made before, with the same arguments, and was not made again."
            f" It answered then:\n{answer_text(before.result)}"
        )
    story.exchanges[-1].answers[step.request["call"]] = answer
