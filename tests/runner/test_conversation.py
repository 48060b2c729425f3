"""A reply that cannot be stored, sent or walked through harmlessly is refused at the door."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import conversation
from runner.contract.errors import ModelFailed
from runner.conversation import Conversation, Exchange, ModelReply, ToolCall


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (ModelReply([{"type": "text"}]), "no text"),  # type: ignore[arg-type]
        (ModelReply(None, (ToolCall("1", "t", {}),) * 65), "more than 64 calls"),
        (ModelReply(None, (ToolCall("1", "", {}),)), "usable name"),
        (ModelReply(None, (ToolCall("1", "x" * 261, {}),)), "usable name"),
        (ModelReply(None, (ToolCall("1", "t", [1]),)), "no JSON object"),  # type: ignore[arg-type]
        (ModelReply(None, (ToolCall("1", "t", nested(33)),)), "at most 32 levels"),
        (ModelReply(None, (ToolCall("1", "t", {"x": float("nan")}),)), "number"),
        (ModelReply(None, (ToolCall("1", "t", {"x": 1e999}),)), "number"),
        (ModelReply("x" * 1_048_577), "longer than 1048576"),
    ],
    ids=[
        "parts for a text",
        "too many calls",
        "no name",
        "a long name",
        "a list of arguments",
        "too deep",
        "not a number",
        "infinity",
        "too long",
    ],
)
def test_a_reply_that_would_do_harm_is_refused(reply: ModelReply, reason: str) -> None:
    with pytest.raises(ModelFailed, match=reason) as refused:
        conversation.checked(reply)
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("claimed", "counted"),
    [(7, 7), (-7, 0), (10**30, 10**12), (1.5, 0), ("12", 0), (None, 0)],
    ids=["honest", "negative", "absurd", "a fraction", "a text", "nothing"],
)
def test_tokens_are_counted_within_reason(claimed: Any, counted: int) -> None:
    reply = conversation.checked(ModelReply("hi", tokens_in=claimed, tokens_out=claimed))
    assert (reply.tokens_in, reply.tokens_out) == (counted, counted)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CALLS = st.builds(
    ToolCall, st.text(), st.text(min_size=1), st.dictionaries(st.text(), JSON, max_size=3)
)


@given(st.none() | st.text(), st.lists(CALLS, max_size=3))
def test_a_reply_survives_the_journal(text: str | None, calls: list[ToolCall]) -> None:
    reply = conversation.checked(ModelReply(text, tuple(calls), model="m"))
    assert conversation.reply_from_json(json.loads(json.dumps(reply.to_json()))) == reply


def test_results_come_in_the_order_of_the_calls_not_of_the_answers() -> None:
    calls = ModelReply(None, (ToolCall("b", "t", {}), ToolCall("a", "t", {})))
    told = Conversation("x", "", {}, None, (Exchange(calls, {"a": "2nd", "b": "1st"}),))
    assert told.results() == ["1st", "2nd"]


@pytest.mark.parametrize(
    ("input", "previous", "opening"),
    [
        ({}, None, "Begin."),
        ({"b": "2", "a": "1"}, None, "a: 1\n\nb: 2"),
        ({}, "x", "Result of the agent before you:\nx"),
    ],
    ids=["nothing", "inputs in order", "handed over"],
)
def test_an_agent_begins_with_its_inputs_and_what_it_was_handed(
    input: dict[str, str], previous: str | None, opening: str
) -> None:
    assert Conversation("x", "", input, previous).opening() == opening
