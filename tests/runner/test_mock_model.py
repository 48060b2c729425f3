"""The scripted model gives the N-th turn to the N-th question and evaluates nothing."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import models
from runner.contract.errors import ModelFailed
from runner.contract.kinds import ModelEndpoint
from runner.conversation import Conversation, Exchange, ModelReply, ToolCall
from runner.models import Request

ASKED = ModelReply(None, (ToolCall("1", "t", {}),))


def ask(
    script: list[dict[str, Any]] | None,
    input: dict[str, str] | None = None,
    previous: str | None = None,
    results: tuple[str, ...] = (),
) -> ModelReply:
    """Ask after as many exchanges as there are results."""
    scripts = {} if script is None else {"clerk": script}
    endpoint = ModelEndpoint.model_validate(
        {"provider": "mock", "default_model": "m", "script": scripts}
    )
    exchanges = tuple(Exchange(ASKED, {"1": result}) for result in results)
    talk = Conversation("clerk", "", input or {}, previous, exchanges)
    return asyncio.run(models.ask(Request(endpoint, "m", None, talk, [])))


def test_each_question_gets_the_turn_at_its_place() -> None:
    script = [{"calls": [{"tool": "t"}]}, {"reply": "second"}]
    assert ask(script).calls == (ToolCall("call_1_1", "t", {}),)
    assert ask(script, results=("x",)).text == "second"


def test_a_script_that_is_over_says_so() -> None:
    with pytest.raises(ModelFailed, match="has 1 turns, and turn 2 was asked for"):
        ask([{"reply": "only"}], results=("x",))


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("{input.ticket}/{previous}/{result.1}/{result.2}", "7/before/one/two"),
        ("{input.absent}|{result.0}|{result.3}|{result.99999999999999999999}", "|||"),
        ("{input.ticket.__class__}{0}{}{input}", "{0}{}{input}"),
        ("{{input.ticket}}", "{7}"),
        ("{input.a b}", "{input.a b}"),
    ],
    ids=["all", "missing", "no attributes", "braces", "not a placeholder"],
)
def test_placeholders_are_filled_and_nothing_else_is(reply: str, text: str) -> None:
    turns = [{"reply": "-"}, {"reply": "-"}, {"reply": reply}]
    given = ask(turns, {"ticket": "7"}, "before", ("one", "two"))
    assert given.text == text


def test_arguments_are_filled_at_every_depth() -> None:
    arguments = {"a": ["{input.x}", {"b": "{input.x}"}], "n": 1, "{input.x}": True}
    reply = ask([{"calls": [{"tool": "t", "arguments": arguments}]}], {"x": "1"})
    assert reply.calls[0].arguments == {"a": ["1", {"b": "1"}], "n": 1, "{input.x}": True}


@given(st.text())
def test_what_is_filled_in_is_not_filled_again(value: str) -> None:
    assert ask([{"reply": "{input.x}"}], {"x": value}).text == value
    assert ask([{"reply": "{previous}"}], {"x": "!"}, value + "{input.x}").text == (
        value + "{input.x}"
    )


@pytest.mark.parametrize(
    "value",
    ["{input.y}", "{result.1}", "\\1\\g<0>", "%s{}"],
    ids=["input", "result", "re", "%"],
)
def test_a_hostile_value_stays_a_value(value: str) -> None:
    assert ask([{"reply": "{input.x}"}], {"x": value, "y": "no"}).text == value


def test_without_a_script_it_says_what_it_was_asked() -> None:
    assert ask(None, {"ticket": "7"}).text == "clerk: ticket: 7"
