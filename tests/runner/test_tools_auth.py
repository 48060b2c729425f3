"""A call proves who it is by its tool's own secret, and the secret is seen nowhere else."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from canaries import in_bytes
from local_server import Answer, LocalServer, Received

from runner import tools
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Bounds, Call, Caller, oauth2

ID, PASSWORD = "orloj-client", "canary-pass-9f3e"
SECRET = f"{ID}:{PASSWORD}"
OK = Answer(200, b"ok")


@pytest.fixture(autouse=True)
def no_tokens() -> None:
    oauth2._known.clear()


def bearer(token: str, **more: Any) -> Answer:
    return Answer(200, json.dumps({"access_token": token, **more}).encode())


def serving(answer: Answer | Callable[[Received], Answer]) -> LocalServer:
    return LocalServer(answer if callable(answer) else lambda _: answer)


def call_with(
    secret: str | None, tool: dict[str, Any], *, name: str = "t", times: int = 1
) -> str:
    spec = Tool.model_validate(tool)
    hidden = (secret,) if secret else ()
    bounds = Bounds(Path("/nonexistent"), (), 2_048)
    call = Call("t:1", secret, bounds, hidden, caller=Caller(tool=name))

    async def several() -> str:
        made = [await tools.call(spec, {}, call) for _ in range(times)]
        return made[-1].text

    return asyncio.run(several())


def oauth(server: LocalServer, tokens: LocalServer, **more: Any) -> dict[str, Any]:
    auth = {
        "secretRef": "s",
        "profile": "oauth2_client_credentials",
        "tokenURL": f"{tokens.url}/token",
        **more,
    }
    return {"endpoint": server.url, "auth": auth}


def failure(secret: str | None, tool: dict[str, Any], **more: Any) -> ToolFailed:
    with pytest.raises(ToolFailed) as error:
        call_with(secret, tool, **more)
    assert not in_bytes(str(error.value).encode(), PASSWORD)
    return error.value


@pytest.mark.parametrize("secret", ["no-colon", ":only", "user:", ""], ids=repr)
@pytest.mark.parametrize(
    ("profile", "form"),
    [
        ({"profile": "basic"}, "user:password"),
        (
            {"profile": "oauth2_client_credentials", "tokenURL": "http://127.0.0.1:1"},
            "client_id:client_secret",
        ),
    ],
    ids=["basic", "oauth2"],
)
def test_a_secret_of_the_wrong_form_says_which_one_is_meant(
    profile: dict[str, str], form: str, secret: str
) -> None:
    with serving(OK).running() as server:
        error = failure(secret, {"endpoint": server.url, "auth": {"secretRef": "s", **profile}})
    assert error.code is ToolCode.SECRET_RESOLUTION_FAILED
    assert form in str(error)
    assert server.received == []


def test_client_credentials_are_exchanged_for_a_token_that_is_used_until_it_ends() -> None:
    with (
        serving(OK).running() as server,
        serving(bearer("tok-1", token_type="Bearer", expires_in=3600)).running() as tokens,
    ):
        call_with(SECRET, oauth(server, tokens, scopes=["r", "w"]), times=3)
    (asked,) = tokens.received
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["r w"],
    }
    pair = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic "))
    assert pair.decode() == SECRET
    assert [seen.headers["Authorization"] for seen in server.received] == ["Bearer tok-1"] * 3


def test_each_half_of_the_pair_is_encoded_before_it_travels() -> None:
    with serving(OK).running() as server, serving(bearer("t")).running() as tokens:
        call_with("id:p:a ss/é", oauth(server, tokens))
    pair = base64.b64decode(tokens.received[0].headers["Authorization"].removeprefix("Basic "))
    assert pair == b"id:p%3Aa%20ss%2F%C3%A9"


def test_a_token_that_has_run_out_is_asked_for_again() -> None:
    with (
        serving(OK).running() as server,
        serving(bearer("t", expires_in=0)).running() as tokens,
    ):
        call_with(SECRET, oauth(server, tokens), times=2)
    assert len(tokens.received) == 2


def test_tools_and_secrets_do_not_share_a_token() -> None:
    with serving(OK).running() as server, serving(bearer("t")).running() as tokens:
        call_with(SECRET, oauth(server, tokens), name="one")
        call_with(SECRET, oauth(server, tokens), name="two")
        call_with(SECRET + "2", oauth(server, tokens), name="two")
    assert len(tokens.received) == 3


def test_calls_at_once_ask_for_one_token() -> None:
    with serving(OK).running() as server, serving(bearer("t")).running() as tokens:
        spec = Tool.model_validate(oauth(server, tokens))
        call = Call("t:1", SECRET, Bounds(Path("/nonexistent"), (), 2_048))

        async def together() -> None:
            await asyncio.gather(*(tools.call(spec, {}, call) for _ in range(8)))

        asyncio.run(together())
    assert len(tokens.received) == 1
    assert len(server.received) == 8


def test_a_refused_token_is_renewed_once() -> None:
    issued = iter(["old", "new", "never"])

    def only_new(seen: Received) -> Answer:
        return OK if seen.headers["Authorization"] == "Bearer new" else Answer(401)

    with (
        serving(only_new).running() as server,
        serving(lambda _: bearer(next(issued))).running() as tokens,
    ):
        assert call_with(SECRET, oauth(server, tokens), times=2) == "ok"
    shown = [seen.headers["Authorization"] for seen in server.received]
    assert shown == ["Bearer old", "Bearer new", "Bearer new"]
    assert len(tokens.received) == 2


@pytest.mark.parametrize(
    ("challenge", "code"),
    [
        ("Bearer", ToolCode.AUTH_INVALID),
        (
            'Bearer error="invalid_token", error_description="The access token expired"',
            ToolCode.AUTH_EXPIRED,
        ),
    ],
    ids=["invalid", "expired"],
)
def test_a_token_that_is_refused_for_good_is_an_auth_error(
    challenge: str, code: ToolCode
) -> None:
    refusing = Answer(401, b"no", {"WWW-Authenticate": challenge})
    with serving(refusing).running() as server, serving(bearer("t")).running() as tokens:
        error = failure(SECRET, oauth(server, tokens))
    assert (error.code, error.retryable, error.untouched) == (code, False, True)
    assert (len(server.received), len(tokens.received)) == (2, 2)


def test_a_server_that_will_not_have_us_is_not_asked_twice() -> None:
    with (
        serving(Answer(403, b"no")).running() as server,
        serving(bearer("t")).running() as tokens,
    ):
        error = failure(SECRET, oauth(server, tokens))
    assert error.code is ToolCode.AUTH_FORBIDDEN
    assert (len(server.received), len(tokens.received)) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "words", "code", "retryable"),
    [
        (
            Answer(401, b'{"error": "invalid_client"}'),
            "401: invalid_client",
            "auth_invalid",
            False,
        ),
        (Answer(400, PASSWORD.encode()), "answered 400", "auth_invalid", False),
        (
            Answer(400, json.dumps({"error": f"E {PASSWORD}"}).encode()),
            "400",
            "auth_invalid",
            False,
        ),
        (Answer(200, b"{}"), "without a bearer token", "auth_invalid", False),
        (Answer(200, b'{"access_token": "a b"}'), "without a bearer", "auth_invalid", False),
        (Answer(200, b'{"access_token": "a\\r\\nX: 1"}'), "without", "auth_invalid", False),
        (
            Answer(200, b'{"access_token":"a","token_type":"mac"}'),
            "without",
            "auth_invalid",
            False,
        ),
        (Answer(200, b"[" * 100_000), "without a bearer token", "auth_invalid", False),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1"}), "302", "auth_invalid", False),
        (Answer(500, b"x"), "answered 500", "execution_failed", True),
        (Answer(429, b"x"), "answered 429", "execution_failed", True),
    ],
    ids=range(11),
)
def test_a_token_endpoint_that_gives_none_is_told_without_its_words(
    answer: Answer, words: str, code: str, retryable: bool
) -> None:
    with serving(OK).running() as server, serving(answer).running() as tokens:
        error = failure(SECRET, oauth(server, tokens))
    assert "the token endpoint" in str(error)
    assert words in str(error)
    assert (error.code, error.retryable, error.untouched) == (code, retryable, True)
    assert server.received == []


def test_an_endless_token_is_read_up_to_a_bound() -> None:
    endless = Answer(200, b'{"access_token": "' + b"x" * 10_000_000 + b'"}')
    with serving(OK).running() as server, serving(endless).running() as tokens:
        error = failure(SECRET, oauth(server, tokens))
    assert "without a bearer token" in str(error)


def test_a_token_endpoint_is_held_to_the_rules_of_the_way_out() -> None:
    with serving(OK).running() as server, serving(bearer("t")).running() as tokens:
        error = failure(SECRET, oauth(server, tokens, tokenURL="https://169.254.169.254/t"))
    assert "no tool may connect to" in str(error)
    assert error.code is ToolCode.RUNTIME_POLICY_INVALID
    assert (server.received, tokens.received) == ([], [])


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"profile": "basic"},
        {"profile": "api_key_header", "headerName": "X-Key"},
    ],
    ids=["bearer", "basic", "key"],
)
def test_what_a_server_says_back_of_its_headers_is_masked(auth: dict[str, str]) -> None:
    def echo(seen: Received) -> Answer:
        password = SECRET.partition(":")[2]
        return Answer(200, (json.dumps(seen.headers) + password).encode())

    with serving(echo).running() as server:
        spec = {"endpoint": server.url, "auth": {"secretRef": "s", **auth}}
        answer = call_with(SECRET, spec)
    assert "(secret)" in answer
    if auth.get("profile") == "basic":  # Only here the password is a value of its own.
        assert not in_bytes(answer.encode(), PASSWORD)
    assert not in_bytes(answer.encode(), SECRET)


def test_a_token_that_is_said_back_is_masked() -> None:
    def echo(seen: Received) -> Answer:
        return Answer(200, seen.headers["Authorization"].encode())

    with (
        serving(echo).running() as server,
        serving(bearer("canary-token-1")).running() as tokens,
    ):
        assert call_with(SECRET, oauth(server, tokens)) == "Bearer (secret)"


def test_a_redirect_takes_no_token_to_another_server() -> None:
    with serving(OK).running() as thief:
        away = Answer(302, b"", {"Location": thief.url})
        with serving(away).running() as server, serving(bearer("t")).running() as tokens:
            spec = oauth(server, tokens) | {"method": "GET"}
            spec["network"] = {"hosts": [f"127.0.0.1:{thief.port}"]}
            spec["network"]["private"] = ["127.0.0.0/8"]
            call_with(SECRET, spec)
    assert "Authorization" not in thief.received[0].headers
