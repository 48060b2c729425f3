"""The rules of the public dialect that apply to an agent or a tool. Pure.

A ToolPermission speaks of one tool of its namespace; an AgentPolicy of whom it targets, in
any namespace.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from runner.contract.errors import OrlojError
from runner.contract.kinds import AgentPolicy, Key, Permission, Tool, ToolPermission
from runner.contract.kinds.tool_permission import OperationRule
from runner.governance.verdict import Call, Decision, Verdict, deny
from runner.manifest_set import ManifestSet, Placed, PlacedAgent, PlacedTool

RuleVerdict = Literal["allow", "approval_required", "deny"]
_STRICTNESS: Final[tuple[RuleVerdict, ...]] = ("allow", "approval_required", "deny")
_RISKY: Final = frozenset({"high", "critical"})


@dataclass(frozen=True, slots=True)
class ToolRule:
    """What one ToolPermission wants of a call, and where it says so."""

    name: str
    at: str
    required: tuple[Permission, ...]
    any_of: bool
    verdict: RuleVerdict
    verdict_at: str


def namespace_key(namespace: str) -> Key:
    """The key of the Namespace that governs a namespace."""
    return Key(namespace, "Namespace", namespace)


def tool_rules(
    manifests: ManifestSet, tool: PlacedTool, agent: PlacedAgent
) -> Iterator[ToolRule]:
    """The ToolPermissions that speak of a tool when this agent calls it."""
    for placed in manifests.of_kind("ToolPermission"):
        if placed.key.namespace != tool.key.namespace:
            continue
        spec = manifests.spec(placed, ToolPermission)
        if (spec.tool_ref or placed.key.name) != tool.key.name:
            continue
        if spec.apply_mode == "scoped" and not _named(agent.key.name, spec.target_agents):
            continue
        verdict, index = _verdict(spec.operation_rules, classes(tool.spec))
        yield ToolRule(
            name=str(placed.key),
            at=placed.at("/spec/required_permissions"),
            required=spec.needs(tool.key.name),
            any_of=spec.match_mode == "any",
            verdict=verdict,
            verdict_at=placed.at(f"/spec/operation_rules/{index}"),
        )


def applying(
    manifests: ManifestSet, agent: PlacedAgent, task: str | None
) -> Iterator[tuple[Placed, AgentPolicy]]:
    """The AgentPolicies that an agent works under, for a task of this name."""
    for placed in manifests.of_kind("AgentPolicy"):
        spec = manifests.spec(placed, AgentPolicy)
        system = manifests.subject.name if manifests.subject.kind == "AgentSystem" else None
        if (
            spec.apply_mode == "global"
            or _named(agent.key.name, spec.target_agents)
            or _named(system, spec.target_systems)
            or _named(task, spec.target_tasks)
        ):
            yield placed, spec


def blocked(manifests: ManifestSet, chain: Iterable[PlacedAgent], call: Call) -> Verdict | None:
    """A policy that forbids the tool to anybody in the chain."""
    for agent in chain:
        for policy, spec in applying(manifests, agent, call.task):
            for index, name in enumerate(spec.blocked_tools):
                if name.casefold() == call.tool.casefold():
                    at = policy.at(f"/spec/blocked_tools/{index}")
                    return deny(f"{policy.key} blocks the tool {call.tool}", at)
    return None


def decide_model(
    manifests: ManifestSet,
    agent: PlacedAgent,
    model: str,
    task: str | None,
    fallback: str | None = None,
) -> Verdict:
    """The verdict on asking a model: the agent's own, unless a policy allows others only.

    `fallback` is the line that names it where it is asked in the place of the agent's own.
    """
    by_reference = agent.spec.model_ref is not None
    own = agent.at("/spec/model_ref" if by_reference else "/spec/model")
    reason = "the agent's own model"
    if fallback is not None:
        reason, own = "a fallback of the agent's own model", fallback
    try:
        for member in manifests.chain(agent):
            for policy, spec in applying(manifests, member, task):
                if spec.allowed_models and model not in spec.allowed_models:
                    at = policy.at("/spec/allowed_models")
                    return deny(f"{policy.key} does not allow the model {model}", at)
    except OrlojError as error:
        return deny(str(error), own)
    return Verdict(Decision.ALLOW, reason, own)


def classes(tool: Tool) -> tuple[str, ...]:
    """The classes of a tool's calls; by its risk where it does not say."""
    if tool.operation_classes:
        return tuple(tool.operation_classes)
    return ("write",) if tool.risk_level in _RISKY else ("read",)


def default_needs(tool: PlacedTool) -> tuple[Permission, ...]:
    """What a call needs of an agent with roles when no rule speaks of the tool."""
    name = Permission.of("tool", f"{tool.key.name}:invoke")
    more = [Permission.of("capability", text) for text in tool.spec.capabilities]
    return (name, *more)


def _verdict(rules: Iterable[OperationRule], of_tool: Iterable[str]) -> tuple[RuleVerdict, int]:
    """The most restrictive verdict on any class of the tool, and the rule's place."""
    wanted = {*of_tool, "*"}
    found: list[tuple[int, RuleVerdict, int]] = [
        (_STRICTNESS.index(rule.verdict), rule.verdict, index)
        for index, rule in enumerate(rules)
        if rule.operation_class in wanted
    ]
    _, verdict, index = max(found, default=(0, "allow", 0), key=lambda item: item[0])
    return verdict, index


def _named(name: str | None, targets: Iterable[str]) -> bool:
    return name is not None and name.casefold() in {target.casefold() for target in targets}
