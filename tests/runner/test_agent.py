"""The journal alone says what an agent does next; replayed, it says the same again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import agent
from runner.agent import AskModel, CallTool, Finish, GiveUp, Move, Step
from runner.contract.kinds import Agent
from runner.conversation import Conversation, ModelReply, ToolCall

OPENING = Conversation("clerk", "Be brief.", {"ticket": "7"}, None)


def clerk(max_steps: int = 3) -> Agent:
    return Agent.model_validate({"model": "m", "limits": {"max_steps": max_steps}})


def said(number: int, reply: ModelReply, phase: str = "done") -> Step:
    return Step(number, "clerk", "model", "default", phase, {}, reply.to_json())


def did(number: int, call: str, result: dict[str, Any]) -> Step:
    phase = "failed" if "error" in result else "denied" if "denied" in result else "done"
    return Step(number, "clerk", "tool", "t", phase, {"call": call, "arguments": {}}, result)


ONE = ToolCall("c1", "t", {"x": 1})
TWO = ToolCall("c2", "t", {"x": 2})
BOTH = ModelReply(None, (ONE, TWO))


@pytest.mark.parametrize(
    ("steps", "move"),
    [
        ([], AskModel(OPENING)),
        ([said(1, ModelReply("done"))], Finish("done")),
        ([said(1, ModelReply(None))], Finish("")),
        ([said(1, BOTH)], CallTool(ONE)),
        ([said(1, BOTH), did(2, "c1", {"content": "a"})], CallTool(TWO)),
        ([said(1, ModelReply("and", (ONE,)))], CallTool(ONE)),
    ],
    ids=["nothing", "an answer", "silence", "two calls", "one of two done", "text and a call"],
)
def test_the_next_move_follows_from_the_steps(steps: list[Step], move: Move) -> None:
    assert agent.next_move(clerk(), OPENING, steps) == move


def test_answers_go_back_to_the_model_with_their_calls() -> None:
    steps = [
        said(1, BOTH),
        did(2, "c1", {"content": "a"}),
        did(3, "c2", {"denied": "not granted"}),
    ]
    move = agent.next_move(clerk(), OPENING, steps)
    assert isinstance(move, AskModel)
    assert move.conversation.exchanges[0].answers == {"c1": "a", "c2": "Denied: not granted"}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": "42"}, "42"),
        ({"content": ""}, ""),
        ({"denied": "no"}, "Denied: no"),
        ({"error": "away"}, "Error: away"),
        ({}, "Error: unknown"),
    ],
    ids=["content", "empty", "denied", "error", "nothing"],
)
def test_a_model_is_told_what_came_of_its_call(result: dict[str, Any], text: str) -> None:
    assert agent.answer_text(result) == text


def test_an_agent_gives_up_at_its_limit_and_says_which() -> None:
    steps = [
        step
        for turn in range(2)
        for step in (
            said(2 * turn + 1, ModelReply(None, (ONE,))),
            did(2 * turn + 2, "c1", {"content": ""}),
        )
    ]
    move = agent.next_move(clerk(max_steps=2), OPENING, steps)
    assert isinstance(move, GiveUp)
    assert "limits.max_steps (2)" in move.reason


@pytest.mark.parametrize(
    ("kind", "phase", "finished"),
    [
        ("model", "begun", False),
        ("model", "failed", False),
        ("model", "done", True),
        ("tool", "begun", False),
        ("tool", "failed", True),
        ("tool", "denied", True),
        ("tool", "done", True),
    ],
    ids=lambda value: str(value),
)
def test_a_step_is_finished_when_its_result_stands(
    kind: str, phase: str, finished: bool
) -> None:
    assert Step(1, "clerk", kind, "t", phase, {}, {}).finished is finished


REPLIES = st.builds(
    lambda text, calls: ModelReply(
        text, tuple(ToolCall(f"c{number}", "t", {}) for number in range(calls))
    ),
    st.text(max_size=5),
    st.integers(0, 3),
)
RESULTS = st.dictionaries(
    st.sampled_from(["content", "denied", "error"]), st.text(max_size=5), min_size=1, max_size=1
)


def walked(steps: list[Step], data: st.DataObject | None) -> tuple[list[Step], list[Move]]:
    """Walk on from a journal to the end; without data, only through the steps given."""
    journal: list[Step] = []
    moves: list[Move] = []
    while True:
        move = agent.next_move(clerk(), OPENING, list(journal))
        moves.append(move)
        number = len(journal) + 1
        if number <= len(steps):
            journal.append(steps[number - 1])
        elif data is None or isinstance(move, Finish | GiveUp):
            return journal, moves
        elif isinstance(move, AskModel):
            journal.append(said(number, data.draw(REPLIES)))
        elif isinstance(move, CallTool):
            journal.append(did(number, move.call.id, data.draw(RESULTS)))


@given(st.data())
def test_every_prefix_of_a_journal_replays_to_the_same_moves(data: st.DataObject) -> None:
    journal, moves = walked([], data)
    for length in range(len(journal) + 1):
        prefix = [Step(*step.to_json()) for step in journal[:length]]
        assert walked(prefix, None) == (prefix, moves[: length + 1])


@given(st.data())
def test_a_turn_ends_within_its_limit(data: st.DataObject) -> None:
    journal, moves = walked([], data)
    assert sum(step.kind == "model" for step in journal) <= clerk().limits.max_steps
    assert isinstance(moves[-1], Finish | GiveUp)
