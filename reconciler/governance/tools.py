"""Findings on a tool: what a call needs, where it may go, and what it runs in. Pure."""

from collections.abc import Iterator
from typing import Final

from reconciler.governance import programs, words
from reconciler.governance.finding import Finding, Severity
from reconciler.governance.words import Limit
from reconciler.governance.world import Sides, World
from runner.contract.kinds import Tool

LIMITS: Final = (
    Limit(
        "limits.max_calls_per_minute",
        "/spec/limits/max_calls_per_minute",
        lambda spec: spec.limits.max_calls_per_minute,
    ),
    Limit("runtime.timeout", "/spec/runtime/timeout", lambda spec: spec.runtime.timeout),
    Limit("runtime.memory_mb", "/spec/runtime/memory_mb", lambda s: s.runtime.memory_mb),
    Limit("runtime.processes", "/spec/runtime/processes", lambda s: s.runtime.processes),
    *programs.LIMITS,
)


def findings(sides: Sides, before: World, after: World) -> Iterator[Finding]:
    """What the change of one tool means for whoever may pick it."""
    old, new = sides.specs(Tool)
    name = sides.key.name
    if new is None:
        if users := _users(sides, before):
            sentence = f"{name} is deleted: every call of {users} to it is denied"
            yield sides.narrows("tool-deleted", sentence)
        return
    if old is None:
        if new.runtime.isolation_mode == "none":
            pointer = "/spec/runtime/isolation_mode"
            yield sides.widens("isolation-lost", f"{name} is new, without a sandbox", pointer)
        return
    yield from _requires(sides, after, old, new)
    yield from _isolation(sides, old, new)
    yield from _network(sides, old, new)
    yield from _secret(sides, old, new)
    yield from _pin(sides, after, old, new)
    yield from programs.findings(sides, old, new)
    yield from _flow(sides, old, new)
    yield from words.moved(sides, LIMITS, old, new)


def _users(sides: Sides, world: World) -> str:
    """Who may pick the tool, in words; nothing when nobody may."""
    return words.listed(world.users.get(sides.key, []))


def _requires(sides: Sides, after: World, old: Tool, new: Tool) -> Iterator[Finding]:
    name, users = sides.key.name, _users(sides, after)
    whom = f" (by {users})" if users else ""
    if old.requires and not new.requires:
        sentence = f"{name} declares no permission any more: only roles and rules decide{whom}"
        yield sides.widens("requires-emptied", sentence)
        return
    if new.requires and not old.requires:
        needs = words.listed(new.requires)
        sentence = f"{name} declares what a call needs, {needs}: who has it may call{whom}"
        yield sides.widens("requires-declared", sentence, "/spec/requires")
        return
    for permission in words.added(new.requires, old.requires):
        sentence = f"a call of {name} no longer needs {permission}{whom}"
        yield sides.widens("requires-weaker", sentence, "/spec/requires")
    for permission in words.added(old.requires, new.requires):
        pointer = f"/spec/requires/{new.requires.index(permission)}"
        sentence = f"a call of {name} needs {permission} as well{whom}"
        yield sides.narrows("requires-stronger", sentence, pointer)


def _isolation(sides: Sides, old: Tool, new: Tool) -> Iterator[Finding]:
    had, has = (spec.runtime.isolation_mode != "none" for spec in (old, new))
    if had and not has:
        sentence = f"{sides.key.name} loses its isolation: it runs without a sandbox"
        yield sides.widens("isolation-lost", sentence, "/spec/runtime/isolation_mode")
    elif has and not had:
        yield sides.narrows("isolation-gained", f"{sides.key.name} runs in a sandbox now")


def _network(sides: Sides, old: Tool, new: Tool) -> Iterator[Finding]:
    name = sides.key.name
    yield from words.connections(sides, name, old.network, new.network)
    before, after = (_host(spec) for spec in (old, new))
    if before != after and after is not None:
        yield sides.widens("endpoint-moved", f"{name} is called at {after}", "/spec/endpoint")
    before, after = (words.host(s.auth.token_url if s.auth else None) for s in (old, new))
    if before != after and after is not None:
        sentence = f"{name} sends its Secret to {after} for a token"
        yield sides.widens("secret-sent", sentence, "/spec/auth/tokenURL")


def _host(tool: Tool) -> str | None:
    """The host that a tool is called at; None when its endpoint does not tell."""
    written = tool.endpoint or ""
    bare = tool.type == "grpc" and "://" not in written
    return words.host(f"grpcs://{written}" if bare else written)


def _secret(sides: Sides, old: Tool, new: Tool) -> Iterator[Finding]:
    before = old.auth.secret_ref if old.auth else None
    after = new.auth.secret_ref if new.auth else None
    if after is not None and after != before:
        sentence = f"{sides.key.name} is given the Secret {after}"
        yield sides.widens("secret-given", sentence, "/spec/auth/secretRef")
    elif before is not None and after is None:
        sentence = f"{sides.key.name} is no longer given the Secret {before}"
        yield sides.narrows("secret-withdrawn", sentence)


def _pin(sides: Sides, after: World, old: Tool, new: Tool) -> Iterator[Finding]:
    """Another tool of an MCP server, or the same one that says something else of itself."""
    name, users = sides.key.name, _users(sides, after)
    whom = f" (picked by {users})" if users else ""
    had, has = ((spec.mcp_server_ref, spec.mcp_tool_name) for spec in (old, new))
    if has != had and new.type == "mcp":
        sentence = f"{name} calls {has[1]} of the MCP server {has[0]}{whom}"
        yield sides.widens("pin-moved", sentence, "/spec/mcp_tool_name")
        return
    parts = ("description", "input_schema")
    told = [part for part in parts if getattr(old, part) != getattr(new, part)]
    what = words.listed(told) or "annotations"
    if new.schema_digest == old.schema_digest:
        if told and new.type == "mcp":  # The model reads this text, whatever the server says.
            sentence = f"{name} tells its model another {what} than its server{whom}"
            yield sides.widens("pin-edited", sentence, f"/spec/{told[0]}")
    else:
        sentence = f"{name} is pinned anew: its server says another {what}{whom}"
        yield sides.widens("pin-changed", sentence, "/spec/schema_digest")


def _flow(sides: Sides, old: Tool, new: Tool) -> Iterator[Finding]:
    """What the tool says of the data that flows through it; the plan believes it."""
    name = sides.key.name
    if "private" in old.reads and "private" not in new.reads:
        sentence = (
            f"{name} no longer says that it reads private data: nobody looks where it goes"
        )
        yield sides.widens("label-removed", sentence)
    for field in ("ingests", "egress"):
        was, becomes = getattr(old, field), getattr(new, field)
        if was != becomes:
            sentence = (
                f"{name} says {field}: {becomes or 'nothing'} (it was {was or 'nothing'})"
            )
            yield sides.finding(Severity.NEUTRAL, "flow-declared", sentence, f"/spec/{field}")
