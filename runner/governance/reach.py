"""Which resources a task can reach: from its subject along every reference. Pure.

    subject ──names──> agents, tools, roles, endpoints, secrets
       └── the namespaces of all of them ──> rules that apply unnamed, data that is granted

What is named and not declared is left out, and denied or refused when it is needed. Who
calls says where resources are found: in the record, at a commit, or in a plan.
"""

from collections.abc import Callable, Iterable, Mapping

from runner.contract import kinds
from runner.contract.errors import NotFound
from runner.contract.kinds import Agent, AgentRole, Key, Memory, Permission, Spec
from runner.contract.kinds.mcp_server import server_of
from runner.manifest_set import ManifestSet, Placed

Find = Callable[[Key], Placed | None]
"""A resource by its key."""
Unnamed = Callable[[list[str]], Iterable[Placed]]
"""What applies without being named: rules and data of these namespaces, and policies."""

UNNAMED_KINDS = ("DataSource", "Namespace", "ToolPermission")
"""The kinds that apply in their namespace; an AgentPolicy applies in every one."""


def gather(subject: Key, find: Find, unnamed: Unnamed) -> ManifestSet:
    """The manifest set of a subject; NotFound when it is not declared."""
    resources: dict[Key, Placed] = {}
    _follow(find, resources, [subject])
    if subject not in resources:
        raise NotFound(f"{subject} is not declared any more")
    granted = _granted(resources)
    for placed in unnamed(sorted({key.namespace for key in resources})):
        if placed.key.kind != "DataSource":
            resources[placed.key] = placed
        elif any(grant.covers(_same(grant, placed.key.name)) for grant in granted):
            _follow(find, resources, [placed.key])
    return ManifestSet(subject, resources)


def among(declared: Mapping[Key, Placed]) -> tuple[Find, Unnamed]:
    """Where resources are found that are all in memory."""

    def unnamed(namespaces: list[str]) -> Iterable[Placed]:
        for key, placed in declared.items():
            here = key.kind in UNNAMED_KINDS and key.namespace in namespaces
            if here or key.kind == "AgentPolicy":
                yield placed

    return declared.get, unnamed


def _follow(find: Find, resources: dict[Key, Placed], waiting: list[Key]) -> None:
    """Add what is named, and all that it names."""
    while waiting:
        key = waiting.pop()
        placed = None if key in resources else find(key)
        if placed is not None:
            resources[key] = placed
            waiting.extend(_named(key, kinds.spec_of(key.kind, placed.body)))


def _granted(resources: Mapping[Key, Placed]) -> list[Permission]:
    """Every grant of every agent and role in the set."""
    found: list[Permission] = []
    for key, placed in resources.items():
        spec = kinds.spec_of(key.kind, placed.body)
        if isinstance(spec, Agent):
            found += (permission for tool in spec.tools for permission in tool.permissions)
        elif isinstance(spec, AgentRole):
            found += spec.permissions
    return found


def _same(grant: Permission, resource: str) -> Permission:
    return Permission.of(grant.verb, resource)


def _named(key: Key, spec: Spec) -> list[Key]:
    targets = [reference.target for reference in spec.references(key.namespace)]
    if isinstance(spec, Agent):
        targets += [endpoint for endpoint, _ in spec.candidates(key.namespace)]
        # What the public dialect names without declaring it: the guard says how to pin it.
        names = [*(tool.name for tool in spec.tools), *spec.allowed_tools]
        targets += filter(None, (server_of(name, key.namespace) for name in names))
    if isinstance(spec, Memory):
        targets += spec.embedders(key.namespace)
    return targets
