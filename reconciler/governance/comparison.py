"""Every finding between two worlds, and every risk in one. Pure.

compare(x, x) is empty; a grant gained from a to b is lost from b to a.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from reconciler.governance import (
    agents,
    bounds,
    mcp_servers,
    moved,
    rules,
    systems,
    tools,
    trifecta,
)
from reconciler.governance.finding import Finding
from reconciler.governance.world import Sides, World
from reconciler.problem import Problem
from runner.contract.kinds import Key

_Compare = Callable[[Sides, World, World], Iterator[Finding]]

_KINDS: Final[Mapping[str, _Compare]] = {
    "Agent": agents.findings,
    "AgentPolicy": lambda sides, before, after: rules.policy(sides),
    "AgentRole": rules.role,
    "AgentSystem": systems.findings,
    "Approver": lambda sides, before, after: bounds.approver(sides),
    "DataSource": lambda sides, before, after: bounds.data_source(sides),
    "McpServer": lambda sides, before, after: mcp_servers.findings(sides),
    "ModelEndpoint": lambda sides, before, after: bounds.model_endpoint(sides),
    "Namespace": lambda sides, before, after: bounds.namespace(sides),
    "RetentionPolicy": lambda sides, before, after: bounds.retention(sides),
    "Secret": lambda sides, before, after: bounds.secret(sides),
    "Tool": tools.findings,
    "ToolPermission": rules.tool_permission,
}

GOVERNED: Final = frozenset(_KINDS)
"""The kinds whose change can mean something for who may do what."""


def compare(
    before: World,
    after: World,
    changed: Collection[Key],
    former: Mapping[Key, Key] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """What the change means: widenings first, each sorted by resource and place.

    `former` are the keys that resources had before they moved; what did stands in `before`
    under its new key as well, and is compared with itself.
    """
    found = {
        finding
        for key in changed
        if key.kind in _KINDS
        for finding in _KINDS[key.kind](_sides(key, before, after), before, after)
    }
    for key, old in former.items():
        found |= {*moved.findings(_sides(key, before, after), old, after)}
    return in_order(found)


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Loud ones first, then widenings, each sorted by resource and place."""
    return tuple(sorted(found, key=_order))


def risks(after: World, reached: Collection[Key], today: date) -> list[Problem]:
    """What is wrong with the agents and systems that a change reaches, sorted by place."""
    problems: list[Problem] = []
    for key in reached:
        if key.kind == "Agent":
            problems += trifecta.of_agent(after, key, today)
        elif key.kind == "AgentSystem":
            problems += trifecta.of_system(after, key, today)
            problems += systems.unusable(after, _sides(key, after, after))
    return sorted(set(problems))


def _sides(key: Key, before: World, after: World) -> Sides:
    return Sides(key, before.declared.get(key), after.declared.get(key))


_RANK: Final = ("widens", "narrows", "neutral")


def _order(finding: Finding) -> tuple[bool, int, Key, int, str]:
    return (
        not finding.loud,
        _RANK.index(finding.severity),
        finding.resource,
        finding.line,
        finding.sentence,
    )
