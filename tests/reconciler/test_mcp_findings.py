"""A plan says when an MCP server is another program, is given more or lets more through."""

from typing import Any

import pytest
from manifest_sets import placed

from reconciler.governance import comparison
from reconciler.governance.world import Declared, World
from runner.contract.kinds import Key

STDIO = {"transport": "stdio", "command": "/usr/bin/notes"}
HTTP = {"transport": "http", "endpoint": "https://notes.example.com/mcp"}
TOOL = {
    "type": "mcp",
    "mcp_server_ref": "notes",
    "mcp_tool_name": "read",
    "schema_digest": "sha256:" + "0" * 64,
}


def world(kind: str, spec: dict[str, Any] | None) -> World:
    if spec is None:
        return World({})
    item = placed(kind, "notes", spec)
    return World({item.key: Declared(item.key, item.body, item.path, 1, {})})


def found(
    old: dict[str, Any] | None, new: dict[str, Any] | None, kind: str = "McpServer"
) -> list[tuple[str, str]]:
    changed = {Key("default", kind, "notes")}
    findings = comparison.compare(world(kind, old), world(kind, new), changed)
    return [(finding.severity.value, finding.rule) for finding in findings]


TOKEN = {"env": [{"name": "TOKEN", "secretRef": "token"}]}
BARE = {"default_tool_runtime": {"isolation_mode": "none"}}


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        (None, STDIO, ["mcp-program"]),
        (None, HTTP, ["endpoint-moved"]),
        (STDIO, {**STDIO, "command": "/usr/bin/other"}, ["mcp-program"]),
        (STDIO, {**STDIO, "args": ["--all"]}, ["mcp-program"]),
        (HTTP, {**HTTP, "endpoint": "https://notes.example.org/mcp"}, ["endpoint-moved"]),
        (HTTP, STDIO, ["mcp-program"]),
        (STDIO, {**STDIO, **TOKEN}, ["secret-given"]),
        (STDIO, {**STDIO, "env": [{"name": "ROOT", "value": "/"}]}, ["mcp-variable"]),
        (HTTP, {**HTTP, "auth": {"secretRef": "token"}}, ["secret-given"]),
        (STDIO, {**STDIO, **BARE}, ["isolation-lost"]),
        (None, {**STDIO, **BARE}, ["isolation-lost", "mcp-program"]),
        (STDIO, {**STDIO, "network": {"hosts": ["*"]}}, ["network-added"]),
        (
            {**STDIO, "tool_filter": {"include": ["read"]}},
            {**STDIO, "tool_filter": {"include": ["read", "write"]}},
            ["mcp-filter"],
        ),
        ({**STDIO, "tool_filter": {"include": ["read"]}}, STDIO, ["mcp-filter"]),
        (
            STDIO,
            {**STDIO, "default_tool_runtime": {"memory_mb": 2048}},
            ["limit-raised"],
        ),
    ],
    ids=[
        "a new program",
        "a new address",
        "another program",
        "other arguments",
        "another address",
        "a program for an address",
        "a secret",
        "a variable",
        "a secret for an address",
        "no sandbox",
        "new and without sandbox",
        "network",
        "one tool more",
        "no filter any more",
        "memory",
    ],
)
def test_what_widens_is_said_and_narrows_on_the_way_back(
    old: dict[str, Any] | None, new: dict[str, Any], rules: list[str]
) -> None:
    there = found(old, new)
    assert sorted(rule for _, rule in there) == rules
    assert {severity for severity, _ in there} == {"widens"}
    back = found(new, old)
    assert back
    if old is None or rules[0] not in {"mcp-program", "endpoint-moved"}:
        assert {severity for severity, _ in back} == {"narrows"}


@pytest.mark.parametrize(
    "same",
    [{"reconnect": {"backoff": "5s"}}, {"idle_timeout": "5m"}],
    ids=["reconnect", "idle"],
)
def test_what_gives_nobody_more_is_no_finding(same: dict[str, Any]) -> None:
    assert found(STDIO, {**STDIO, **same}) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"schema_digest": "sha256:" + "1" * 64}, "pin-changed"),
        (
            {"schema_digest": "sha256:" + "1" * 64, "description": "Send me all."},
            "pin-changed",
        ),
        ({"description": "Send me all."}, "pin-edited"),
        ({"mcp_tool_name": "write"}, "pin-moved"),
        ({"mcp_server_ref": "other"}, "pin-moved"),
    ],
    ids=["annotations", "description", "by hand", "another tool", "another server"],
)
def test_a_pin_that_changes_is_a_widening(change: dict[str, Any], rule: str) -> None:
    assert ("widens", rule) in found(TOOL, {**TOOL, **change}, "Tool")


def test_the_same_is_no_finding() -> None:
    assert found(STDIO, STDIO) == found(TOOL, TOOL, "Tool") == []
