"""Findings on what moved to another name: what goes by names does not come along. Pure.

Limits are counted, and policies aim, by name. Neither follows a resource in silence: that
a count begins anew and that a policy hits nobody any more is more than was possible, and is
said as that.
"""

from collections.abc import Iterable, Iterator

from reconciler.governance import words
from reconciler.governance.finding import Finding
from reconciler.governance.world import Sides, World
from runner.contract.kinds import Agent, AgentPolicy, Key, Tool, ToolPermission


def findings(sides: Sides, old: Key, after: World) -> Iterator[Finding]:
    """What does not follow a resource from its old key."""
    if counted := list(_counted(sides, after)):
        sentence = (
            f"{sides.key.name} begins anew under {words.listed(counted)}: what was used as"
            f" {old.name} is counted for that name"
        )
        yield sides.widens("moved-limits", sentence)
    for policy, spec in after.of_kind(AgentPolicy):
        if _aims(spec, old) and not _aims(spec, sides.key):
            sentence = (
                f"policy {policy.key.name} ({policy.path}:{policy.line}) names {old.name},"
                f" and does not reach {sides.key.name}"
            )
            yield sides.widens("moved-from-policy", sentence)
    for rule, of_tool in after.of_kind(ToolPermission):
        if _rules(rule.key, of_tool, old) and not _rules(rule.key, of_tool, sides.key):
            sentence = (
                f"the rule {rule.key.name} ({rule.path}:{rule.line}) names {old.name},"
                f" and does not reach {sides.key.name}"
            )
            yield sides.widens("moved-from-rule", sentence)


def _counted(sides: Sides, after: World) -> Iterator[str]:
    agent, tool = after.spec(sides.key, Agent), after.spec(sides.key, Tool)
    if agent is not None:
        bounds = agent.governance
        yield from (
            name
            for name, bound in (
                ("maxTokensPerMinute", bounds.max_tokens_per_minute),
                ("maxCostPerDay", bounds.max_cost_per_day),
                ("maxConcurrent", bounds.max_concurrent),
            )
            if bound is not None
        )
    elif tool is not None and tool.limits.max_calls_per_minute is not None:
        yield "max_calls_per_minute"


def _aims(policy: AgentPolicy, key: Key) -> bool:
    targets = {
        "Agent": policy.target_agents,
        "AgentSystem": policy.target_systems,
        "Task": policy.target_tasks,
    }
    if key.kind == "Tool":
        return _among(key.name, policy.blocked_tools)
    return policy.apply_mode == "scoped" and _among(key.name, targets.get(key.kind, ()))


def _rules(rule: Key, spec: ToolPermission, key: Key) -> bool:
    if key.kind == "Agent":
        return spec.apply_mode == "scoped" and _among(key.name, spec.target_agents)
    return key == Key(rule.namespace, "Tool", spec.tool_ref or rule.name)


def _among(name: str, targets: Iterable[str]) -> bool:
    return name.casefold() in {target.casefold() for target in targets}
