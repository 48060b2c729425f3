"""What an answer lacks reaches the model of every provider, after that answer."""

from collections.abc import Callable
from typing import Any

import pytest

from runner.contract.kinds import ModelEndpoint
from runner.conversation import Conversation, Exchange, ModelReply
from runner.models import Request, chat, messages, ollama

TOLD = "Your answer cannot be taken yet."


@pytest.mark.parametrize(
    ("provider", "sent"),
    [("openai", chat.sent), ("anthropic", messages.sent), ("ollama", ollama._sent)],
    ids=["openai", "anthropic", "ollama"],
)
def test_a_repair_is_told_after_the_answer(
    provider: str, sent: Callable[[Request], dict[str, Any]]
) -> None:
    endpoint = ModelEndpoint.model_validate({"provider": provider, "default_model": "m"})
    talk = Conversation(
        "clerk",
        "",
        {},
        None,
        (Exchange(ModelReply("early"), told=TOLD), Exchange(ModelReply("b"))),
    )
    told = sent(Request(endpoint, "m", None, talk, []))["messages"]
    assert [one["role"] for one in told] == ["user", "assistant", "user", "assistant"]
    assert TOLD in str(told[2]["content"])
