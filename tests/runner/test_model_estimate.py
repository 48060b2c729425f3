"""What a question may take is known before it is asked, and its answer is kept to a length."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import ModelServer, completion

from runner import models
from runner.contract.kinds import ModelEndpoint
from runner.conversation import Conversation, Exchange, ModelReply, ToolCall
from runner.models.openai import _client


def request(endpoint: dict[str, Any], *texts: str, output_max: int | None = None) -> Any:
    prompt, said, answer = texts or ("p", "s", "a")
    call = ToolCall("c1", "search", {"query": said})
    exchange = Exchange(ModelReply(said, (call,)), {"c1": answer})
    return models.Request(
        endpoint=ModelEndpoint.model_validate({"default_model": "m", **endpoint}),
        model="m",
        key=None,
        conversation=Conversation("clerk", prompt, {"in": answer}, None, (exchange,)),
        tools=[models.Offer("search", said, {"type": "object"})],
        output_max=output_max,
    )


REAL = {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1/v1"}


@given(prompt=st.text(), said=st.text(), answer=st.text())
def test_the_input_is_bounded_by_the_bytes_of_all_that_is_sent(
    prompt: str, said: str, answer: str
) -> None:
    found = models.estimate(request(REAL, prompt, said, answer))
    # What is said stands in the reply, in its call and in the tool; the answer in two messages.
    texts = [prompt, said, said, said, answer, answer]
    sent = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    assert found.input >= sent
    assert found.likely <= found.input
    assert found.output is None


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ({"provider": "openai-compatible"}, "max_tokens"),
        (
            {
                "provider": "openai-compatible",
                "options": {"output_limit": "max_completion_tokens"},
            },
            "max_completion_tokens",
        ),
    ],
    ids=["as usual", "as the manifest names it"],
)
def test_an_endpoint_is_told_the_longest_answer(endpoint: dict[str, Any], field: str) -> None:
    with ModelServer(completion("ok")).running() as server:
        asked = request({**endpoint, "base_url": server.url + "/v1"}, output_max=77)
        url = server.url + "/v1"

        async def once() -> None:
            try:
                await models.ask(asked)
            finally:
                await _client(url, "none").close()  # Each test has a loop of its own.
                _client.cache_clear()

        asyncio.run(once())
        assert server.questions[0][field] == 77


@pytest.mark.parametrize(("output_max", "used"), [(None, 40), (100, 40), (7, 7)])
def test_the_scripted_model_knows_what_it_takes_and_keeps_to_a_length(
    output_max: int | None, used: int
) -> None:
    turns = [{"reply": "a"}, {"reply": "b", "input_tokens": 60, "output_tokens": 40}]
    asked = request({"provider": "mock", "script": {"clerk": turns}}, output_max=output_max)
    assert models.estimate(asked) == models.Estimate(60, 60, 40)
    reply = asyncio.run(models.ask(asked))
    assert (reply.tokens_in, reply.tokens_out) == (60, used)
