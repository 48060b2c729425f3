"""Findings on roles, policies and tool permissions: rules that many agents share. Pure."""

from collections.abc import Iterator
from typing import Final

from reconciler.governance import words
from reconciler.governance.finding import Finding
from reconciler.governance.words import Limit
from reconciler.governance.world import Sides, World
from runner.contract.kinds import AgentPolicy, AgentRole, Key, Tool, ToolPermission

_VERDICTS: Final = ("allow", "approval_required", "deny")
_TARGETS: Final = ("target_agents", "target_systems", "target_tasks")
_TOKENS: Final = (
    Limit("max_tokens_per_run", "/spec/max_tokens_per_run", lambda s: s.max_tokens_per_run),
)
_CHILDREN: Final = (
    Limit("max_child_depth", "/spec/max_child_depth", lambda s: s.child_depth),
    Limit("max_child_tasks", "/spec/max_child_tasks", lambda s: s.child_tasks),
)
_NO_POLICY: Final = AgentPolicy(apply_mode="global")


def role(sides: Sides, before: World, after: World) -> Iterator[Finding]:
    """What a changed role gives to all who have it, or takes from them."""
    old, new = sides.specs(AgentRole)
    had, has = (old.permissions if old else []), (new.permissions if new else [])
    name = sides.key.name
    for index, permission in enumerate(has):
        if not any(other.covers(permission) for other in had):
            sentence = f"the role {name} gains {permission}{_holders(sides, after)}"
            yield sides.widens("role-widened", sentence, f"/spec/permissions/{index}")
    for permission in had:
        if not any(other.covers(permission) for other in has):
            sentence = f"the role {name} loses {permission}{_holders(sides, before)}"
            yield sides.narrows("role-narrowed", sentence, "/spec/permissions")


def _holders(sides: Sides, world: World) -> str:
    names = world.users.get(sides.key, [])
    return f", for {words.listed(names)}" if names else ", and nobody has it"


def policy(sides: Sides) -> Iterator[Finding]:
    """What a policy forbids now, or no longer."""
    old, new = sides.specs(AgentPolicy)
    name = f"the policy {sides.key.name}"
    if new is None and old is not None:
        yield sides.widens("policy-deleted", f"{name} is deleted: {_forbids(old)}")
    elif old is None and new is not None:
        yield sides.narrows("policy-added", f"{name} is new: {_forbids(new)}")
    # Without a policy the defaults hold, so that a new one can allow more than there was.
    yield from words.moved(sides, _CHILDREN, old or _NO_POLICY, new or _NO_POLICY)
    if old is None or new is None:
        return
    yield from _scope(sides, name, old, new)
    for tool in words.added(new.blocked_tools, old.blocked_tools):
        yield sides.widens("policy-relaxed", f"{name} no longer blocks {tool}")
    for tool in words.added(old.blocked_tools, new.blocked_tools):
        pointer = "/spec/blocked_tools"
        yield sides.narrows("policy-tightened", f"{name} blocks {tool} now", pointer)
    if old.allowed_models != new.allowed_models:
        yield _models(sides, name, old.allowed_models, new.allowed_models)
    yield from words.moved(sides, _TOKENS, old, new)


def _models(sides: Sides, name: str, had: list[str], has: list[str]) -> Finding:
    if not has:
        return sides.widens("policy-relaxed", f"{name} allows every model now")
    sentence = f"{name} allows the models {words.listed(has)} only"
    wider = bool(had) and bool(words.added(had, has))
    if wider:
        return sides.widens("policy-relaxed", sentence, "/spec/allowed_models")
    return sides.narrows("policy-tightened", sentence, "/spec/allowed_models")


def _forbids(policy: AgentPolicy) -> str:
    parts = []
    if policy.blocked_tools:
        parts.append(f"it blocks {words.listed(policy.blocked_tools)}")
    if policy.allowed_models:
        parts.append(f"it allows the models {words.listed(policy.allowed_models)} only")
    if policy.max_tokens_per_run:
        parts.append(f"it allows {policy.max_tokens_per_run} tokens a run")
    if policy.max_child_depth is not None:
        parts.append(f"its child tasks go {policy.max_child_depth} deep")
    if policy.max_child_tasks is not None:
        parts.append(f"a task queues {policy.max_child_tasks} others")
    return "; ".join(parts) or "it forbids nothing"


def _scope(
    sides: Sides, name: str, old: AgentPolicy | ToolPermission,
    new: AgentPolicy | ToolPermission,
) -> Iterator[Finding]:  # fmt: skip
    """Whom a rule applies to. `global` is everybody, `scoped` whom it names."""
    if old.apply_mode != new.apply_mode:
        sentence = f"{name} applies to {_applies(new)} now"
        if new.apply_mode == "scoped":
            yield sides.widens("rule-rescoped", sentence, "/spec/apply_mode")
        else:
            yield sides.narrows("rule-rescoped", sentence, "/spec/apply_mode")
        return
    if new.apply_mode == "global":
        return
    for field in _TARGETS:
        had, has = getattr(old, field, []), getattr(new, field, [])
        for target in words.added(has, had):
            sentence = f"{name} no longer applies to {target}"
            yield sides.widens("rule-rescoped", sentence, f"/spec/{field}")
        for target in words.added(had, has):
            sentence = f"{name} applies to {target} too"
            yield sides.narrows("rule-rescoped", sentence, f"/spec/{field}")


def _applies(rule: AgentPolicy | ToolPermission) -> str:
    if rule.apply_mode == "global":
        return "everybody"
    named_ones = [name for field in _TARGETS for name in getattr(rule, field, [])]
    return words.listed(named_ones) or "nobody"


def tool_permission(sides: Sides, before: World, after: World) -> Iterator[Finding]:
    """What calls of a tool need besides what the tool declares."""
    old, new = sides.specs(ToolPermission)
    name = f"the rule {sides.key.name}"
    if old is None or new is None:
        yield from _rule_appeared(sides, before, after)
        return
    yield from _scope(sides, name, old, new)
    for permission in words.added(new.required_permissions, old.required_permissions):
        yield sides.widens("rule-weaker", f"{name} no longer needs {permission}")
    for permission in words.added(old.required_permissions, new.required_permissions):
        pointer = "/spec/required_permissions"
        yield sides.narrows("rule-stronger", f"{name} needs {permission} as well", pointer)
    if (old.match_mode, new.match_mode) == ("all", "any"):
        sentence = f"{name} needs one of its permissions only, not all"
        yield sides.widens("rule-weaker", sentence, "/spec/match_mode")
    elif old.match_mode != new.match_mode:
        yield sides.narrows("rule-stronger", f"{name} needs all of its permissions")
    if old.tool_ref != new.tool_ref:
        sentence = f"{name} speaks of {new.tool_ref or sides.key.name} now"
        yield sides.widens("rule-rescoped", sentence, "/spec/tool_ref")
    yield from _verdicts(sides, name, old, new)


def _rule_appeared(sides: Sides, before: World, after: World) -> Iterator[Finding]:
    """A rule that is new or gone. Where a tool declares nothing, it is what lets calls in."""
    old, new = sides.specs(ToolPermission)
    spec, world = (new, after) if new is not None else (old, before)
    if spec is None:
        return
    key = Key(sides.key.namespace, "Tool", spec.tool_ref or sides.key.name)
    tool = world.spec(key, Tool)
    opens = tool is not None and not tool.requires
    needs = words.listed(spec.required_permissions) or "nothing"
    if new is not None:
        sentence = f"the rule {sides.key.name} is new: a call of {key.name} needs {needs}"
        yield (sides.widens if opens else sides.narrows)("rule-added", sentence)
    else:
        sentence = f"the rule {sides.key.name} is deleted: for {key.name} it needed {needs}"
        yield (sides.narrows if opens else sides.widens)("rule-deleted", sentence)


def _verdicts(
    sides: Sides, name: str, old: ToolPermission, new: ToolPermission
) -> Iterator[Finding]:
    had, has = (_strictest(rule) for rule in (old, new))
    for name_of_class in sorted({*had, *has}):
        was, becomes = had.get(name_of_class, "allow"), has.get(name_of_class, "allow")
        if was == becomes:
            continue
        sentence = f"{name} says {becomes} for the class {name_of_class} (it was {was})"
        if _VERDICTS.index(becomes) < _VERDICTS.index(was):
            yield sides.widens("rule-weaker", sentence, "/spec/operation_rules")
        else:
            yield sides.narrows("rule-stronger", sentence, "/spec/operation_rules")


def _strictest(permission: ToolPermission) -> dict[str, str]:
    found: dict[str, str] = {}
    for rule in permission.operation_rules:
        held = found.get(rule.operation_class, "allow")
        found[rule.operation_class] = max(held, rule.verdict, key=_VERDICTS.index)
    return found
