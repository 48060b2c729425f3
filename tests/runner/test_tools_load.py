"""A Tool that could not do what it says is refused while it is loaded, with what to write."""

from typing import Any

import pytest
from pydantic import ValidationError

from reconciler import check, manifest
from runner.contract.kinds import Tool
from runner.contract.kinds.tool_fields import grpc_place

AUTH = {"secretRef": "s"}
OAUTH = {**AUTH, "profile": "oauth2_client_credentials"}
HTTP = {"endpoint": "https://a.example/x"}


def refused(spec: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        Tool.model_validate(spec)
    return str(error.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"type": "queue", "endpoint": "x"}, "taken out of the public dialect with 0.6"),
        ({"type": "external"}, "external needs endpoint"),
        ({"type": "grpc"}, "grpc needs endpoint"),
        ({"type": "webhook-callback"}, "webhook-callback needs endpoint"),
        ({"type": "grpc", "endpoint": "https://a.example:1"}, "a grpc endpoint is host:port"),
        ({"type": "grpc", "endpoint": "a.example"}, "names one host and its port"),
        ({"type": "grpc", "endpoint": "*.a.example:1"}, "names one host and its port"),
        ({"type": "external", "endpoint": "https://a.example/{args.x}"}, "no template"),
        ({"type": "external", **HTTP, "method": "GET"}, "method is for tools of type http"),
        ({"type": "sql", "endpoint": "https://a.example"}, "endpoint is for tools of type"),
        ({"type": "python", "function": "f", "auth": AUTH}, "auth is for tools of type"),
        ({**HTTP, "command": ["/bin/true"]}, "command is for tools of type command"),
        ({**HTTP, "runtime": {"memory_mb": 64}}, "runtime.memory_mb is for programs"),
        (
            {"type": "command", "command": ["/x"], "auth": {**AUTH, "profile": "basic"}},
            "given its secret as TOOL_SECRET",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_without_an_effect_is_an_error(spec: dict[str, Any], words: str) -> None:
    assert words in refused(spec)


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"profile": "api_key_header"}, "needs headerName"),
        ({"headerName": "X-Key"}, "headerName is for profile api_key_header"),
        ({"profile": "api_key_header", "headerName": "X Key"}, "letters, digits and dashes"),
        ({"profile": "api_key_header", "headerName": "Host"}, "belongs to the request"),
        ({"profile": "api_key_header", "headerName": "idempotency-key"}, "belongs to the"),
        ({"profile": "oauth2_client_credentials"}, "needs tokenURL"),
        ({"tokenURL": "https://a.example/t"}, "tokenURL is for oauth2_client_credentials"),
        ({**OAUTH, "tokenURL": "http://a.example/t"}, "tokenURL begins with https"),
        ({**OAUTH, "tokenURL": "https://u:p@a.example/t"}, "a user in tokenURL"),
        ({**OAUTH, "tokenURL": "https://a.example", "scopes": ["a b"]}, "is no scope"),
        ({"scopes": ["read"]}, "scopes are for profile oauth2_client_credentials"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_auth_profile_says_what_it_needs(auth: dict[str, Any], words: str) -> None:
    assert words in refused({**HTTP, "auth": {**AUTH, **auth}})


def test_public_spellings_are_read() -> None:
    tool = Tool.model_validate(
        {
            **HTTP,
            "capabilities": [" Web.Search", "web.search", "b"],
            "operation_classes": [" Read", "READ", "write"],
            "auth": {**OAUTH, "tokenURL": "https://a.example/t", "scopes": ["r", "w"]},
        }
    )
    assert tool.capabilities == ["Web.Search", "b"]
    assert tool.operation_classes == ["read", "write"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a.example:50051", (True, "a.example:50051")),
        ("grpcs://a.example:1", (True, "a.example:1")),
        ("grpc://127.0.0.1:1", (False, "127.0.0.1:1")),
    ],
)
def test_grpc_goes_over_tls_unless_it_is_said(text: str, place: tuple[bool, str]) -> None:
    secure, host = grpc_place(text)
    assert (secure, str(host)) == place


@pytest.mark.parametrize(
    ("spec", "warned"),
    [
        ("{endpoint: 'https://a.example', capabilities: [x], requires: [{read: a}]}", True),
        ("{endpoint: 'https://a.example', capabilities: [x]}", False),
        ("{type: grpc, endpoint: 'a.example:1', capabilities: [x]}", False),
        ("{endpoint: 'https://a.example', runtime: {retry: {max_attempts: 2}}}", False),
    ],
    ids=["with requires", "without", "told", "retry"],
)
def test_capabilities_that_decide_nothing_are_told_of(spec: str, warned: bool) -> None:
    text = f"apiVersion: orloj.dev/v1\nkind: Tool\nmetadata: {{name: t}}\nspec: {spec}\n"
    parsed = manifest.parse(text.encode(), "t.yaml", lambda value: ("digest", "ciphertext"))
    assert ["capabilities" in one.message for one in parsed.problems] == [True] * warned


def test_a_schema_that_cannot_be_used_is_a_mistake_with_its_line() -> None:
    text = (
        "apiVersion: orloj.dev/v1\nkind: Tool\nmetadata: {name: t}\nspec:\n"
        "  endpoint: https://a.example\n  input_schema:\n    $ref: https://a.example/s\n"
    )
    parsed = manifest.parse(text.encode(), "t.yaml", lambda value: ("digest", "ciphertext"))
    (problem,) = check.check(parsed.resources, lambda _: True, ())
    assert (problem.path, problem.line) == ("t.yaml", 6)
    assert "a $ref begins with #/ and stays inside" in problem.message
