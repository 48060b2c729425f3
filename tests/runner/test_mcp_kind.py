"""Every field of an McpServer acts, or is refused with its place and what to do instead."""

import json
from typing import Any

import pytest
from manifest_sets import manifest_set, placed

from reconciler import check, manifest
from reconciler.manifest import writing
from runner import named_secrets
from runner.contract.kinds import Key, McpServer, Tool
from runner.contract.kinds.mcp_server import inherited, server_of

STDIO = {"transport": "stdio", "command": "notes"}
HTTP = {"transport": "http", "endpoint": "https://notes.example.com/mcp"}
DIGEST = "sha256:" + "0" * 64
PIN = {
    "type": "mcp",
    "mcp_server_ref": "notes",
    "mcp_tool_name": "read",
    "schema_digest": DIGEST,
}


def parsed(kind: str, spec: dict[str, Any], name: str = "notes") -> manifest.Parsed:
    document = {
        "apiVersion": "orloj.dev/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    text = writing.text([document]).encode()
    return manifest.parse(text, "a.yaml", lambda value: (value, ""))


PUBLIC = """apiVersion: orloj.dev/v1
kind: McpServer
metadata: {name: everything}
spec:
  transport: stdio
  command: npx
  args: ["-y", "@modelcontextprotocol/server-everything"]
  env:
    - {name: LEVEL, value: debug}
    - {name: TOKEN, secretRef: token}
  idle_timeout: 5m
  tool_filter: {include: [echo, get-sum]}
  reconnect: {max_attempts: 3, backoff: 2s}
  default_tool_runtime:
    timeout: 2m
    isolation_mode: sandboxed
    retry: {max_attempts: 2, backoff: 1s}
"""


@pytest.mark.parametrize("camel", [False, True], ids=["snake", "camel"])
def test_a_manifest_of_the_public_dialect_loads(camel: bool) -> None:
    text = PUBLIC
    if camel:
        for snake, other in (
            ("idle_timeout", "idleTimeout"),
            ("tool_filter", "toolFilter"),
            ("max_attempts", "maxAttempts"),
            ("default_tool_runtime", "defaultToolRuntime"),
        ):
            text = text.replace(snake, other)
    found = manifest.parse(text.encode(), "a.yaml", lambda value: (value, ""))
    assert [problem.severity.value for problem in found.problems] == ["warning"]
    assert "npx fetches what it runs" in found.problems[0].message
    (resource,) = found.resources
    assert json.loads(resource.body)["spec"]["tool_filter"] == {"include": ["echo", "get-sum"]}
    assert [mention.target.name for mention in resource.mentions] == ["token"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({**STDIO, "image": "ghcr.io/a/b"}, "not started in a container"),
        ({**STDIO, "image_pull_secret": "s"}, "not started in a container"),
        (
            {**STDIO, "env": [{"name": "A", "secretRef": "s", "mountPath": "/a"}]},
            "take mountPath out",
        ),
        ({**STDIO, "env": [{"name": "A"}]}, "exactly one of value and secretRef"),
        (
            {**STDIO, "env": [{"name": "A", "value": "1", "secretRef": "s"}]},
            "exactly one of value and secretRef",
        ),
        ({**STDIO, "env": [{"name": "A", "value": "1"}] * 2}, "env names A twice"),
        ({**STDIO, "env": [{"name": "A=B", "value": "1"}]}, "name"),
        ({"transport": "stdio"}, "transport stdio needs command"),
        ({"transport": "http"}, "transport http needs endpoint"),
        ({"transport": "sse", "endpoint": "https://a.example"}, "stdio"),
        ({**STDIO, "endpoint": "https://a.example"}, "transport stdio has no endpoint"),
        ({**HTTP, "command": "notes"}, "transport http has no command"),
        ({**HTTP, "auth": {"secretRef": "s", "profile": "basic"}}, "bearer"),
        ({**HTTP, "auth": {"secretRef": "s", "headerName": "X"}}, "api_key_header"),
        ({**HTTP, "endpoint": "https://me:pw@a.example"}, "use auth.secretRef"),
        ({**HTTP, "network": {"hosts": ["*"]}}, "only a program"),
        ({**STDIO, "network": {"hosts": ["a.example"]}}, "cannot be held to names"),
        ({**HTTP, "network": {"redirects": True}}, "take redirects out"),
        (
            {**STDIO, "env": [{"name": "LD_PRELOAD", "value": "/x.so"}]},
            "steers the loader",
        ),
        (
            {**STDIO, "default_tool_runtime": {"isolation_mode": "container"}},
            "leave it out for the sandbox",
        ),
        ({**HTTP, "default_tool_runtime": {"memory_mb": 1024}}, "starts no program"),
        ({**STDIO, "reconnect": {"backof": "1s"}}, "unknown field `backof`"),
    ],
)
def test_what_could_not_act_is_refused_with_its_place(
    spec: dict[str, Any], message: str
) -> None:
    found = parsed("McpServer", spec)
    assert found.resources == ()
    (problem,) = found.problems
    assert message in problem.message + (problem.hint or "")
    assert problem.line > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_digest": None}, "Write it: orloj mcp pin notes"),
        ({"schema_digest": "sha256:abc"}, "schema_digest"),
        ({"auth": {"secretRef": "s"}}, "auth"),
        ({"network": {"hosts": ["a.example"]}}, "stands at its McpServer"),
        ({"endpoint": "https://a.example"}, "endpoint"),
        ({"runtime": {"isolation_mode": "none"}}, "default_tool_runtime"),
        ({"runtime": {"memory_mb": 64}}, "default_tool_runtime"),
        ({"type": "http", "endpoint": "https://a.example"}, "mcp"),
    ],
)
def test_a_tool_is_pinned_and_says_only_what_is_its_own(
    change: dict[str, Any], message: str
) -> None:
    spec = {name: value for name, value in {**PIN, **change}.items() if value is not None}
    problems = parsed("Tool", spec, "notes--read").problems
    assert message in problems[0].message + (problems[0].hint or "")


def test_a_tool_has_the_bounds_of_its_server_where_it_says_nothing() -> None:
    runtime = {"timeout": "2m", "retry": {"max_attempts": 3}}
    server = McpServer.model_validate({**STDIO, "default_tool_runtime": runtime})
    plain = inherited(Tool.model_validate(PIN), server).runtime
    assert (plain.timeout, plain.retry.max_attempts) == ("2m", 3)
    own = inherited(Tool.model_validate({**PIN, "runtime": {"timeout": "5s"}}), server).runtime
    assert (own.timeout, own.retry.max_attempts) == ("5s", 3)


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("notes--read", ("default", "notes")),
        ("other/notes--read", ("other", "notes")),
        ("notes--a--b", ("default", "notes")),
        ("notes", None),
        ("notes--", None),
        ("--read", None),
    ],
)
def test_the_name_of_a_tool_says_its_server(name: str, server: tuple[str, str] | None) -> None:
    found = server_of(name, "default")
    assert (found and (found.namespace, found.name)) == server


def test_an_agent_that_names_a_tool_without_a_pin_is_told_the_command() -> None:
    grant = {"name": "notes--read", "permissions": [{"call": "notes--read"}]}
    agent = parsed("Agent", {"model": "m", "tools": [grant]}, "clerk").resources
    server = parsed("McpServer", STDIO).resources
    found = check.check([*agent, *server], lambda key: key.kind == "ModelEndpoint", ())
    assert [problem.severity.value for problem in found] == ["warning"]
    assert found[0].hint == "pin what the MCP server offers: orloj mcp pin notes"


def test_a_server_is_given_its_secrets_only_when_a_pinned_tool_names_it() -> None:
    grant = {"name": "notes--read", "permissions": []}
    agent = placed("Agent", "clerk", {"model": "m", "tools": [grant]})
    env = [{"name": "TOKEN", "secretRef": "token"}]
    server = placed("McpServer", "notes", {**STDIO, "env": env})
    assert named_secrets.entries(manifest_set(agent, server)) == []
    tool = placed("Tool", "notes--read", PIN)
    assert named_secrets.entries(manifest_set(agent, server, tool)) == [
        (Key("default", "Secret", "token"), "value")
    ]
