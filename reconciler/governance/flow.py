"""What data flows through an agent's tools: private data, strangers' text, a way out. Pure.

A tool says it with `reads`, `ingests` and `egress`. Where it does not, the careful guess
counts: what reaches a host of the world may be told something by it, and told something.
Only what is labelled `private` is private, so who labels nothing is never bothered.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from reconciler.governance import effective, words
from reconciler.governance.world import World
from runner.contract import builtin
from runner.contract.kinds import Agent, DataSource, Key, Memory, Tool

PRIVATE_LABEL: Final = "private"
UNTRUSTED_LABEL: Final = "untrusted"
_REMOTE: Final = frozenset({"external", "grpc", "queue", "webhook-callback", "mcp"})
_INSIDE: Final = (".internal", ".local", ".localhost", ".lan", ".home.arpa", ".svc")


class Part(StrEnum):
    """One of the three that must not come together."""

    PRIVATE = "reads private data"
    UNTRUSTED = "takes in untrusted text"
    EGRESS = "can send it out"


@dataclass(frozen=True, slots=True)
class Trait:
    """A part that an agent has, through which tool, and the place that says so."""

    part: Part
    agent: str
    tool: str
    path: str
    line: int

    @property
    def words(self) -> str:
        """`clerk reads private data (crm)`."""
        return f"{self.agent} {self.part} ({self.tool})"


def traits(world: World, key: Key, withheld: frozenset[str] = frozenset()) -> Iterator[Trait]:
    """The parts that an agent has, but for the tools that a hand-off withholds from it."""
    agent = world.spec(key, Agent)
    if agent is None:
        return
    declared = world.declared[key]
    for name, pointer in effective.pickable(agent, key.namespace):
        tool = effective.called_tool(world, key, name)
        if tool is None or name in withheld:
            continue
        line = declared.line_of(pointer)
        if builtin.works_on_memory(name):
            parts = _of_memory(world, key, agent, tool)
        else:
            parts = _parts(tool, _reads_private(world, key, name, tool))
        for part in parts:
            yield Trait(part, key.name, name, declared.path, line)


def _of_memory(world: World, key: Key, agent: Agent, tool: Tool) -> Iterator[Part]:
    """What comes in and goes out with a call of memory: as its labels and its host say.

    What another agent wrote there is taken for what the labels say: who lets strangers' text
    into a memory labels it `untrusted`.
    """
    memory_key = builtin.memory_key(agent, key.namespace)
    memory = None if memory_key is None else world.spec(memory_key, Memory)
    if memory is None:
        return
    outside = memory.endpoint is not None and _public(words.host(memory.endpoint) or "*")
    if tool.operation_classes == ["read"]:
        if PRIVATE_LABEL in memory.labels:
            yield Part.PRIVATE
        if UNTRUSTED_LABEL in memory.labels:
            yield Part.UNTRUSTED
    if outside:  # A query says something as well.
        yield Part.EGRESS


def _parts(tool: Tool, private: bool) -> Iterator[Part]:
    outside = _reaches_outside(tool)
    if private:
        yield Part.PRIVATE
    if tool.ingests == "untrusted" or (tool.ingests is None and outside):
        yield Part.UNTRUSTED
    if tool.egress == "external" or (tool.egress is None and outside):
        yield Part.EGRESS


def _reads_private(world: World, key: Key, name: str, tool: Tool) -> bool:
    """Whether the tool says it reads private data, or the agent reaches such a source by it."""
    if PRIVATE_LABEL in tool.reads:
        return True
    held = [g for g in effective.grants(world, key) if g.tool in (None, name)]
    for declared, source in world.of_kind(DataSource):
        if PRIVATE_LABEL not in source.labels or declared.key.namespace != key.namespace:
            continue
        for grant in held:
            verb = grant.permission.verb
            named_source = type(grant.permission).of(verb, declared.key.name)
            if grant.permission.covers(named_source) and any(
                effective.may_need(needed, named_source) for needed in tool.requires
            ):
                return True
    return False


def _reaches_outside(tool: Tool) -> bool:
    """Whether a call may reach a host of the world, as far as the declaration tells."""
    if any(_public(host) for host in tool.network.hosts):
        return True
    if tool.type == "http":
        host = words.host(tool.endpoint)
        return host is None or _public(host)
    if tool.type == "wasm":  # A module has no network, whatever its process may have.
        return False
    if tool.type in ("command", "cli"):  # Without a sandbox it has the network of its host.
        networked = tool.cli is not None and tool.cli.networked
        return networked or tool.runtime.isolation_mode == "none"
    return tool.type in _REMOTE


def _public(host: str) -> bool:
    """Whether a host may be somebody else's: not an address or a name of one's own network."""
    name = _without_port(host).strip("[]").rstrip(".").lower()
    if "*" in name and name.removeprefix("*.") == name:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return "." in name and not name.endswith(_INSIDE)
    return not (address.is_private or address.is_loopback or address.is_link_local)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and (":" not in name or "]" in name) else host
