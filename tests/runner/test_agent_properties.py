"""Whatever a model and its tools say: a turn that was cut anywhere goes on to the same end."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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
TOOLS = ["search", "send"]
SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}

_contracts = st.fixed_dictionaries(
    {
        "profile": st.just("contract"),
        "tool_sequence": st.lists(st.sampled_from(TOOLS), min_size=1, max_size=3),
        "required_output_markers": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "on_contract_violation": st.sampled_from(["observe", "non_retryable_error"]),
    }
)
_others = st.fixed_dictionaries(
    {},
    optional={
        "duplicate_tool_call_policy": st.sampled_from(["short_circuit", "deny"]),
        "tool_use_behavior": st.sampled_from(["run_llm_again", "stop_on_first_tool"]),
        "output_schema": st.just(SCHEMA),
    },
)
AGENTS = st.builds(
    lambda steps, contract, others: Agent.model_validate(
        {
            "model": "m",
            "tools": TOOLS,
            "limits": {"max_steps": steps},
            "execution": contract | others,
        }
    ),
    st.integers(1, 4),
    st.just({}) | _contracts,
    _others,
)
_texts = st.sampled_from([None, "", "a", "ab", '{"a": 1}', '{"b": 1, "a": 2}', "{"])
_arguments = st.sampled_from([{}, {"x": 1}, {"x": 1, "y": [None]}, {"y": [None], "x": 1}])
REPLIES = st.builds(
    lambda text, made: ModelReply(
        text, tuple(ToolCall(f"c{place}", *call) for place, call in enumerate(made))
    ),
    _texts,
    st.lists(st.tuples(st.sampled_from(TOOLS), _arguments), max_size=3),
)
RESULTS = st.sampled_from(["content", "denied", "error"]).flatmap(
    lambda kind: _texts.map(lambda text: {kind: text or ""})
)


def made(who: Agent, data: st.DataObject) -> tuple[list[Step], list[Move]]:
    """A turn from its beginning to its end."""
    steps: list[Step] = []
    moves: list[Move] = []
    while True:
        move = agent.next_move(who, OPENING, list(steps))
        moves.append(move)
        number = len(steps) + 1
        if isinstance(move, Finish | GiveUp):
            return steps, moves
        if isinstance(move, AskModel):
            reply = data.draw(REPLIES)
            steps.append(Step(number, "clerk", "model", "m", "done", {}, reply.to_json()))
        elif isinstance(move, CallTool):
            result = data.draw(RESULTS)
            request = {"call": move.call.id, "arguments": move.call.arguments}
            phase = next({"content": "done", "error": "failed"}.get(key, key) for key in result)
            steps.append(Step(number, "clerk", "tool", move.call.tool, phase, request, result))
        else:
            step = Step(number, "clerk", "turn", move.name, "done", move.request, move.result)
            steps.append(step)


@given(AGENTS, st.data())
def test_a_turn_that_is_cut_anywhere_goes_on_as_if_it_had_not_been(
    who: Agent, data: st.DataObject
) -> None:
    steps, moves = made(who, data)
    for length, move in enumerate(moves):
        stored = [Step(*json.loads(json.dumps(step.to_json()))) for step in steps[:length]]
        assert agent.next_move(who, OPENING, stored) == move


@given(AGENTS, st.data())
def test_a_model_is_asked_as_often_as_its_steps_and_repairs_allow(
    who: Agent, data: st.DataObject
) -> None:
    _, moves = made(who, data)
    asked = sum(isinstance(move, AskModel) for move in moves)
    repairs = sum(isinstance(move, Note) and move.name == Noted.REPAIR for move in moves)
    assert repairs <= REPAIRS_MAX
    assert asked <= who.limits.max_steps + repairs


@given(AGENTS, st.data())
def test_no_call_is_made_whose_success_stands_in_the_journal(
    who: Agent, data: st.DataObject
) -> None:
    steps, moves = made(who, data)
    done: list[tuple[str, Any]] = []
    asked: set[tuple[int, str]] = set()
    exchanges = 0
    for move, step in zip(moves, steps, strict=False):
        exchanges += isinstance(move, AskModel)
        if not isinstance(move, CallTool):
            continue
        call = (move.call.tool, move.call.arguments)
        assert who.execution.duplicate_tool_call_policy is None or call not in done
        # With or without a policy, one call of one answer is made once.
        assert (exchanges, move.call.id) not in asked
        asked.add((exchanges, move.call.id))
        if step.result is not None and "content" in step.result:
            done.append(call)


@given(AGENTS, st.data())
def test_a_turn_that_finishes_holds_what_its_manifest_demands(
    who: Agent, data: st.DataObject
) -> None:
    steps, moves = made(who, data)
    end = moves[-1]
    if not isinstance(end, Finish):
        return
    execution = who.execution
    if execution.output_schema is not None:
        assert type(json.loads(end.text)["a"]) is int
    observed = any(isinstance(move, Note) and move.outcome == "observed" for move in moves)
    if execution.profile == "dynamic" or observed:
        return
    succeeded = {step.name for step in steps if step.kind == "tool" and step.phase == "done"}
    assert set(execution.tool_sequence) <= succeeded
    assert all(marker in end.text for marker in execution.required_output_markers)
