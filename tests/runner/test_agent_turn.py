"""A turn ends as done only with what its manifest demands, and no call is made twice."""

from typing import Any

import pytest

from runner import agent
from runner.agent import (
    REPAIRS_MAX,
    AskModel,
    CallTool,
    Finish,
    GiveUp,
    Move,
    Note,
    Noted,
    Step,
)
from runner.contract.kinds import Agent
from runner.conversation import Conversation, ModelReply, ToolCall

OPENING = Conversation("clerk", "", {}, None)
SEARCH = ToolCall("c1", "search", {"q": "a", "n": 1})
AGAIN = ToolCall("c2", "search", {"n": 1, "q": "a"})
SEND = ToolCall("c3", "send", {})
SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer"}},
    "required": ["score"],
}


def clerk(max_steps: int = 5, **execution: Any) -> Agent:
    return Agent.model_validate(
        {
            "model": "m",
            "tools": ["search", "send"],
            "limits": {"max_steps": max_steps},
            "execution": execution,
        }
    )


def contract(**more: Any) -> dict[str, Any]:
    return {"profile": "contract", "tool_sequence": ["search"], **more}


def step(number: int, move: Move, result: Any) -> Step:
    """The step that a move leaves in the journal."""
    if isinstance(move, AskModel):
        return Step(number, "clerk", "model", "m", "done", {}, result.to_json())
    if isinstance(move, CallTool):
        phase = "done" if "content" in result else "failed"
        request = {"call": move.call.id, "arguments": move.call.arguments}
        return Step(number, "clerk", "tool", move.call.tool, phase, request, result)
    assert isinstance(move, Note)
    return Step(number, "clerk", "turn", move.name, "done", move.request, move.result)


def walk(who: Agent, *said: ModelReply | dict[str, Any]) -> list[Move]:
    """The moves of a turn in which models and tools say this, one after the other."""
    steps: list[Step] = []
    moves: list[Move] = []
    answers = list(said)
    while True:
        move = agent.next_move(who, OPENING, steps)
        moves.append(move)
        if isinstance(move, Finish | GiveUp) or (not isinstance(move, Note) and not answers):
            assert answers == [], "the turn ended before all was said"
            return moves
        result = None if isinstance(move, Note) else answers.pop(0)
        steps.append(step(len(steps) + 1, move, result))


def calls(*made: ToolCall, text: str | None = None) -> ModelReply:
    return ModelReply(text, made)


def notes(moves: list[Move]) -> list[tuple[str, str]]:
    return [(move.name, move.outcome) for move in moves if isinstance(move, Note)]


FOUND = {"content": "3 papers"}


def test_a_contract_that_is_met_ends_the_turn() -> None:
    who = clerk(**contract(required_output_markers=["DONE"]))
    moves = walk(who, calls(SEARCH), FOUND, ModelReply("it is DONE"))
    assert (moves[-1], notes(moves)) == (Finish("it is DONE"), [])


def test_the_order_of_the_tools_is_free() -> None:
    who = clerk(**contract(tool_sequence=["search", "send", "search"]))
    moves = walk(who, calls(SEND), {"content": ""}, calls(SEARCH), FOUND, ModelReply("ok"))
    assert moves[-1] == Finish("ok")


def test_the_model_is_told_what_is_missing_and_may_put_it_right() -> None:
    who = clerk(**contract(required_output_markers=["DONE"]))
    moves = walk(who, ModelReply("early"), calls(SEARCH), FOUND, ModelReply("DONE"))
    asked = moves[2]
    assert isinstance(asked, AskModel)
    told = asked.conversation.exchanges[0].told
    assert told is not None
    assert "Call the tool search" in told
    assert "DONE" in told
    assert (moves[-1], notes(moves)) == (Finish("DONE"), [("repair", "told")])


@pytest.mark.parametrize(
    ("policy", "outcome", "end"),
    [
        ("non_retryable_error", "failed", GiveUp),
        ("observe", "observed", Finish),
    ],
)
def test_a_contract_that_stays_unmet_is_a_violation(
    policy: str, outcome: str, end: type
) -> None:
    who = clerk(**contract(required_output_markers=["DONE"], on_contract_violation=policy))
    moves = walk(who, *[ModelReply("no")] * (1 + REPAIRS_MAX))
    assert notes(moves) == [("repair", "told")] * REPAIRS_MAX + [("violated", outcome)]
    assert isinstance(moves[-1], end)
    if isinstance(moves[-1], GiveUp):
        assert "tools that did not succeed: search" in moves[-1].reason
        assert "`DONE`" in moves[-1].reason


@pytest.mark.parametrize(
    "result", [{"error": "away"}, {"denied": "no"}], ids=lambda one: str(one)
)
def test_a_tool_that_failed_has_not_met_the_contract(result: dict[str, Any]) -> None:
    moves = walk(
        clerk(**contract()), calls(SEARCH), result, *[ModelReply("done")] * (1 + REPAIRS_MAX)
    )
    assert isinstance(moves[-1], GiveUp)


def test_a_repair_does_not_use_up_a_step() -> None:
    who = clerk(max_steps=1, **contract(required_output_markers=["DONE"]))
    moves = walk(who, calls(SEARCH, text="DONE"), FOUND)
    assert moves[-1] == Finish("DONE")
    moves = walk(
        clerk(max_steps=1, output_schema=SCHEMA), ModelReply("1"), ModelReply('{"score":1}')
    )
    assert moves[-1] == Finish('{"score":1}')


def test_the_last_step_is_a_failure_unless_the_contract_is_met() -> None:
    met = walk(clerk(max_steps=1, **contract()), calls(SEARCH), FOUND)
    assert met[-1] == Finish("3 papers")
    unmet = walk(
        clerk(max_steps=1, **contract(on_contract_violation="observe")),
        calls(SEARCH),
        {"error": "away"},
    )
    assert isinstance(unmet[-1], GiveUp)
    assert "limits.max_steps (1)" in unmet[-1].reason
    assert "tools that did not succeed: search" in unmet[-1].reason
    dynamic = walk(clerk(max_steps=1), calls(SEARCH), FOUND)
    assert isinstance(dynamic[-1], GiveUp)


def test_a_call_that_succeeded_is_answered_from_the_journal() -> None:
    who = clerk(duplicate_tool_call_policy="short_circuit")
    moves = walk(who, calls(SEARCH), FOUND, calls(AGAIN), ModelReply("ok"))
    note = moves[3]
    assert isinstance(note, Note)
    assert (note.name, note.outcome, note.tool) == (Noted.REPEATED, "short_circuit", "search")
    assert note.result == {"repeats": 2}
    asked = moves[4]
    assert isinstance(asked, AskModel)
    assert asked.conversation.exchanges[1].answers["c2"] == (
        "This call was made before, with the same arguments, and was not made again."
        " It answered then:\n3 papers"
    )


def test_a_call_that_succeeded_is_denied_as_a_duplicate() -> None:
    who = clerk(duplicate_tool_call_policy="deny")
    moves = walk(who, calls(SEARCH, AGAIN), FOUND, ModelReply("ok"))
    asked = moves[3]
    assert isinstance(asked, AskModel)
    assert asked.conversation.exchanges[0].answers == {
        "c1": "3 papers",
        "c2": "Denied: the same call succeeded in step 2",
    }
    assert notes(moves) == [("repeated", "deny")]


@pytest.mark.parametrize(
    ("policy", "first", "second"),
    [
        (None, FOUND, AGAIN),
        ("deny", {"error": "away"}, AGAIN),
        ("short_circuit", {"denied": "no"}, AGAIN),
        ("deny", FOUND, ToolCall("c2", "send", SEARCH.arguments)),
        ("short_circuit", FOUND, ToolCall("c2", "search", {"q": "a", "n": "1"})),
    ],
    ids=["no policy", "it failed", "it was denied", "another tool", "other arguments"],
)
def test_any_other_call_is_made(
    policy: str | None, first: dict[str, Any], second: ToolCall
) -> None:
    who = clerk(**({} if policy is None else {"duplicate_tool_call_policy": policy}))
    moves = walk(who, calls(SEARCH), first, calls(second))
    assert moves[-1] == CallTool(second)


def test_the_first_tool_that_succeeds_ends_the_turn() -> None:
    who = clerk(tool_use_behavior="stop_on_first_tool")
    assert walk(who, calls(SEARCH, SEND), FOUND)[-1] == Finish("3 papers")
    failed = walk(who, calls(SEARCH, SEND), {"error": "away"}, {"content": "sent"})
    assert failed[-1] == Finish("sent")
    assert walk(who, ModelReply("no tool"))[-1] == Finish("no tool")


def test_a_result_that_does_not_meet_the_demands_does_not_end_the_turn() -> None:
    who = clerk(tool_use_behavior="stop_on_first_tool", output_schema=SCHEMA)
    moves = walk(who, calls(SEARCH), FOUND, calls(SEND), {"content": '{"score": 2}'})
    assert moves[-1] == Finish('{"score":2}')


def test_an_answer_of_the_shape_is_kept_canonical() -> None:
    fenced = '```json\n{"why": "é",\n "score": 7}\n```'
    moves = walk(clerk(output_schema=SCHEMA), ModelReply(fenced))
    assert moves[-1] == Finish('{"score":7,"why":"é"}')


def test_an_answer_of_another_shape_fails_with_the_path_of_the_first_error() -> None:
    moves = walk(
        clerk(output_schema=SCHEMA), ModelReply("seven"), *[ModelReply('{"score": "7"}')] * 2
    )
    assert notes(moves) == [("repair", "told")] * REPAIRS_MAX + [("violated", "failed")]
    assert isinstance(moves[-1], GiveUp)
    assert "$.score: must be of type integer" in moves[-1].reason


def test_a_wrong_shape_is_never_only_observed() -> None:
    who = clerk(**contract(on_contract_violation="observe", output_schema=SCHEMA))
    moves = walk(who, *[ModelReply("x")] * (1 + REPAIRS_MAX))
    assert isinstance(moves[-1], GiveUp)
