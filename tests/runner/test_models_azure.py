"""Azure is asked at the address of a deployment, with the version that the manifest names."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asking import KEY, ask
from model_server import completion, failure
from model_servers import AzureServer, streamed

from runner.contract.errors import ModelFailed
from runner.conversation import ModelReply


@pytest.mark.parametrize("provider", ["azure", "azure-openai"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_is_a_reply_with_its_tokens(provider: str, stream: bool) -> None:
    answer = streamed("hello", tokens=(3, 4)) if stream else completion("hello", tokens=(3, 4))
    with AzureServer(answer).running() as server:
        reply = ask(server, provider, spec={"stream": stream})
    assert reply == ModelReply("hello", (), 3, 4, "served")
    headers = {name.lower(): value for name, value in server.received[0].headers.items()}
    assert headers["api-key"] == KEY
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("options", "deployment", "version"),
    [
        ({}, "asked", "2024-10-21"),
        ({"deployment": "team-gpt", "api_version": "2025-04-01-preview"}, "team-gpt", None),
    ],
    ids=["by default", "as declared"],
)
def test_the_address_is_that_of_the_deployment(
    options: dict[str, str], deployment: str, version: str | None
) -> None:
    with AzureServer(completion("ok")).running() as server:
        ask(server, "azure-openai", spec={"options": options}, output_max=9)
    address = urlsplit(server.received[0].path)
    assert address.path == f"/openai/deployments/{deployment}/chat/completions"
    assert parse_qs(address.query)["api-version"] == [version or options["api_version"]]
    assert server.questions[0]["max_completion_tokens"] == 9


def test_a_wrong_key_costs_nothing_and_is_not_tried_again() -> None:
    with (
        AzureServer(failure(401, f"Access denied for {KEY}")).running() as server,
        pytest.raises(ModelFailed, match="answered 401") as failed,
    ):
        ask(server, "azure")
    assert (failed.value.retryable, failed.value.untouched) == (False, True)
    assert KEY not in str(failed.value)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5), ({"Retry-After": "9"}, 9.0)],
    ids=["to the millisecond", "to the second"],
)
def test_it_says_when_to_come_back(headers: dict[str, Any], wait_s: float) -> None:
    with (
        AzureServer(failure(429, "busy", **headers)).running() as server,
        pytest.raises(ModelFailed) as failed,
    ):
        ask(server, "azure")
    assert (failed.value.retryable, failed.value.retry_after_s) == (True, wait_s)
