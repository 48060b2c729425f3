"""Findings on an MCP server: what it starts or reaches, what it is given, what it lets through.

A server is somebody's program. That it is another one, has other arguments or is told other
things is a widening: nobody can say from here what it does now. Pure.
"""

from collections.abc import Iterator

from reconciler.governance import words
from reconciler.governance.finding import Finding
from reconciler.governance.words import Limit
from reconciler.governance.world import Sides
from runner.contract.kinds import McpServer
from runner.contract.kinds.network import Network

_LIMITS = (
    Limit(
        "default_tool_runtime.timeout",
        "/spec/default_tool_runtime/timeout",
        lambda spec: spec.default_tool_runtime.timeout,
    ),
    Limit(
        "default_tool_runtime.memory_mb",
        "/spec/default_tool_runtime/memory_mb",
        lambda spec: spec.default_tool_runtime.memory_mb,
    ),
    Limit(
        "default_tool_runtime.processes",
        "/spec/default_tool_runtime/processes",
        lambda spec: spec.default_tool_runtime.processes,
    ),
)


def findings(sides: Sides) -> Iterator[Finding]:
    """What the change of one server means."""
    old, new = sides.specs(McpServer)
    name = f"the MCP server {sides.key.name}"
    if new is None:
        if old is not None:
            yield sides.narrows(
                "mcp-server-deleted", f"{name} is deleted: its tools are denied"
            )
        return
    if old is None or (old.transport, old.command, old.args) != (
        new.transport,
        new.command,
        new.args,
    ):
        yield from _program(sides, name, old, new)
    if new.endpoint is not None and (old is None or old.endpoint != new.endpoint):
        host = words.host(new.endpoint) or "an address"
        yield sides.widens("endpoint-moved", f"{name} is asked at {host}", "/spec/endpoint")
    yield from _given(sides, name, old, new)
    yield from _walls(sides, name, old, new)
    if old is not None:
        yield from _filter(sides, name, old, new)
        yield from words.moved(sides, _LIMITS, old, new)


def _program(
    sides: Sides, name: str, old: McpServer | None, new: McpServer
) -> Iterator[Finding]:
    if new.command is None:
        return
    if old is None:
        sentence = f"{name} is new: it starts the program {new.command}"
    elif old.command != new.command:
        sentence = f"{name} starts another program: {new.command}"
    else:
        sentence = f"{name} starts {new.command} with other arguments"
    pointer = "/spec/args" if old and old.command == new.command else "/spec/command"
    yield sides.widens("mcp-program", sentence, pointer)


def _given(sides: Sides, name: str, old: McpServer | None, new: McpServer) -> Iterator[Finding]:
    """Secrets and variables that it is told, or is not told any more."""
    had = {} if old is None else {one.name: one for one in old.env}
    for index, variable in enumerate(new.env):
        if had.get(variable.name) == variable:
            continue
        at = f"/spec/env/{index}"
        if variable.secret_ref is not None:
            sentence = f"{name} is given the Secret {variable.secret_ref} as {variable.name}"
            yield sides.widens("secret-given", sentence, at)
        elif old is not None:
            yield sides.widens("mcp-variable", f"{name} is told another {variable.name}", at)
    for gone in words.added([one.name for one in new.env], had):
        yield sides.narrows("mcp-variable", f"{name} is no longer told {gone}")
    before = old.auth.secret_ref if old is not None and old.auth else None
    after = new.auth.secret_ref if new.auth else None
    if after is not None and after != before:
        sentence = f"{name} is given the Secret {after}"
        yield sides.widens("secret-given", sentence, "/spec/auth/secretRef")
    elif before is not None and after is None:
        yield sides.narrows(
            "secret-withdrawn", f"{name} is no longer given the Secret {before}"
        )


def _walls(sides: Sides, name: str, old: McpServer | None, new: McpServer) -> Iterator[Finding]:
    """Isolation and network."""
    bare = new.default_tool_runtime.isolation_mode == "none"
    was = old is not None and old.default_tool_runtime.isolation_mode == "none"
    if bare and not was:
        pointer = "/spec/default_tool_runtime/isolation_mode"
        yield sides.widens("isolation-lost", f"{name} runs without a sandbox", pointer)
    elif was and not bare:
        yield sides.narrows("isolation-gained", f"{name} runs in a sandbox now")
    before = Network() if old is None else old.network
    yield from words.connections(sides, name, before, new.network)


def _filter(sides: Sides, name: str, old: McpServer, new: McpServer) -> Iterator[Finding]:
    had, has = old.tool_filter.include, new.tool_filter.include
    at = "/spec/tool_filter/include"
    if had and not has:
        yield sides.widens("mcp-filter", f"{name} lets every pinned tool through")
        return
    if has and not had:
        sentence = f"{name} lets only {words.listed(has)} through"
        yield sides.narrows("mcp-filter", sentence, at)
        return
    for tool in words.added(had, has):
        yield sides.widens("mcp-filter", f"{name} lets {tool} through", at)
    for tool in words.added(has, had):
        yield sides.narrows("mcp-filter", f"{name} no longer lets {tool} through", at)
