"""May this agent make this call? Pure, and closed by default.

    blocked by a policy? ─> given to the agent? ─> declared? ─> what does the call need?
      ─> granted to the agent, and to everybody before it? ─> does a person have to say yes?
      ─> can it be run at all? ─> allow

Whatever is missing, unknown or unreadable is a denial, and every verdict names the manifest
line that made it. Rules of the public dialect are read beside our own: both must allow.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runner.contract import builtin
from runner.contract.errors import OrlojError, Refused, ToolCode
from runner.contract.kinds import Permission
from runner.contract.kinds.tool_fields import ASKED
from runner.governance import grants, memories, policies, requirement, servers
from runner.governance.requirement import Unclear
from runner.governance.verdict import Call, Decision, Verdict, deny
from runner.manifest_set import ManifestSet, PlacedAgent, PlacedTool

RUNNABLE_TYPES: Final = ASKED | {"command", "python", "sql", "mcp", builtin.TYPE}


@dataclass(frozen=True, slots=True)
class _Case:
    """What a decision is about."""

    manifests: ManifestSet
    agent: PlacedAgent
    chain: tuple[PlacedAgent, ...]
    call: Call
    tool: PlacedTool
    needs: tuple[Permission, ...]
    rules: tuple[policies.ToolRule, ...]

    @property
    def own(self) -> bool:
        """Whether everybody keeps their own rights over a hand-off: the public dialect."""
        return self.manifests.rules(self.agent.key.namespace).compat == "permissive"


def decide(manifests: ManifestSet, agent: PlacedAgent, call: Call) -> Verdict:
    """The verdict on a call by an agent; nothing is raised, what goes wrong is a denial."""
    try:
        return _decided(manifests, agent, call)
    except OrlojError as error:  # A manifest that another version of this program recorded.
        return deny(str(error), agent.at(""))
    except Unclear as unclear:
        tool = manifests.tool(agent, call.tool)
        return deny(str(unclear), (tool or agent).at("/spec/requires"))


def _decided(manifests: ManifestSet, agent: PlacedAgent, call: Call) -> Verdict:
    chain = manifests.chain(agent)
    blocked = policies.blocked(manifests, chain, call)
    if blocked is not None:
        return blocked
    place = _listed(agent, call.tool)
    if place is None:
        return deny(f"the agent is not granted the tool {call.tool}", agent.at("/spec/tools"))
    tool = manifests.tool(agent, call.tool)
    if tool is None:
        reason = servers.undeclared(manifests, agent, call.tool)
        return deny(reason, agent.at(place), code=ToolCode.UNSUPPORTED_TOOL)
    case = _Case(
        manifests=manifests,
        agent=agent,
        chain=chain,
        call=call,
        tool=tool,
        needs=requirement.needed(tool.spec, call.arguments),
        rules=tuple(policies.tool_rules(manifests, tool, agent)),
    )
    return _weighed(case, place)


def _weighed(case: _Case, place: str) -> Verdict:
    rule = case.agent.at(place)
    if _pre_authorised(case.agent, case.call.tool):
        allowed = Verdict(
            Decision.ALLOW, "the agent's manifest allows the tool outright", rule, case.needs
        )
    else:
        allowed = _granted(case)
    for verdict in (
        allowed,
        _handed_on(case) if allowed.decision is Decision.ALLOW else None,
        _by_rules(case),
        _not_runnable(case),
    ):
        if verdict is not None and verdict.decision is Decision.DENY:
            return verdict
    asked = _asked(case)
    if asked is not None:
        reason, line = asked
        return Verdict(Decision.ASK, reason, line, allowed.permissions, allowed.rule)
    return allowed


def _listed(agent: PlacedAgent, tool: str) -> str | None:
    """Where the agent's manifest gives it the tool."""
    own = builtin.find(agent.spec, agent.key.namespace, tool)
    if own is not None:
        return own.pointer
    for index, entry in enumerate(agent.spec.tools):
        if entry.name == tool:
            return f"/spec/tools/{index}"
    if _pre_authorised(agent, tool):
        return f"/spec/allowed_tools/{agent.spec.allowed_tools.index(tool)}"
    return None


def _pre_authorised(agent: PlacedAgent, tool: str) -> bool:
    return tool in agent.spec.allowed_tools


def _granted(case: _Case) -> Verdict:
    """Whether the agent itself may: what the tool requires, or what the public rules do."""
    found = list(grants.of(case.manifests, case.agent, case.call.tool))
    if case.needs:
        return _all_granted(case, found)
    if case.rules:
        required = tuple(permission for rule in case.rules for permission in rule.required)
        first = case.rules[0]
        return Verdict(Decision.ALLOW, f"{first.name} allows it", first.at, required)
    if case.agent.spec.roles:
        return _by_roles(case, found)
    name = case.call.tool
    if case.own:
        placed = case.manifests.resources[policies.namespace_key(case.agent.key.namespace)]
        reason = f"no rule speaks of {name}, and the namespace's compat is permissive"
        return Verdict(Decision.ALLOW, reason, placed.at("/spec/compat"))
    return deny(
        f"the tool {name} declares no permission that a call needs (requires)", case.tool.at("")
    )


def _all_granted(case: _Case, found: list[grants.Grant]) -> Verdict:
    first: grants.Grant | None = None
    for permission in case.needs:
        grant = grants.covering(found, permission)
        if grant is None:
            at = case.agent.at(_listed(case.agent, case.call.tool) or "/spec/tools")
            reason = f"the agent is not granted {permission} for the tool {case.call.tool}"
            return deny(reason, at, case.needs)
        first = first or grant
    assert first is not None
    needed = " ".join(map(str, case.needs))
    return Verdict(Decision.ALLOW, f"{needed} is granted", first.rule, case.needs)


def _by_roles(case: _Case, found: Iterable[grants.Grant]) -> Verdict:
    """The public dialect's default: who has roles needs `tool:NAME:invoke` and capabilities."""
    needs = policies.default_needs(case.tool)
    folded = [grants.Grant(grants.folded(g.permission), g.rule) for g in found]
    for permission in needs:
        if grants.covering(folded, grants.folded(permission)) is None:
            reason = f"no role of the agent grants {permission}"
            return deny(reason, case.agent.at("/spec/roles"), needs)
    grant = grants.covering(folded, grants.folded(needs[0]))
    assert grant is not None
    return Verdict(Decision.ALLOW, f"{needs[0]} is granted by a role", grant.rule, needs)


def _handed_on(case: _Case) -> Verdict | None:
    """A denial when somebody before this agent may not do what it is about to do."""
    if len(case.chain) == 1 or case.own:
        return None
    gained = list(grants.gained(case.manifests, case.manifests.called(case.agent)))
    needs = case.needs or policies.default_needs(case.tool)
    for before in case.chain[:-1]:
        if _pre_authorised(before, case.call.tool):
            continue
        found = list(grants.of(case.manifests, before))
        for permission, there in zip(needs, _seen_by(before, case, needs), strict=True):
            if not (
                _covered(found, there, exact=bool(case.needs))
                or _covered(gained, permission, exact=bool(case.needs))
            ):
                reason = (
                    f"{before.key.name}, which hands its work on, is not granted {permission};"
                    " a system declares what an agent gains under gains"
                )
                return deny(reason, before.at("/spec/tools"), needs)
    return None


def _seen_by(
    other: PlacedAgent, case: _Case, needs: tuple[Permission, ...]
) -> tuple[Permission, ...]:
    """What a call needs, as the namespace of another agent names it.

    Two namespaces may each have a Memory of one name: the grant of one is none for the other.
    """
    own, there = case.agent.key.namespace, other.key.namespace
    if case.tool.builtin is None or own == there:
        return needs
    tool = builtin.find(case.agent.spec, own, case.call.tool, seen_from=there)
    assert tool is not None, "a built-in tool that was found is found again"
    return tuple(tool.spec.requires)


def _covered(found: list[grants.Grant], needed: Permission, *, exact: bool) -> bool:
    if grants.covering(found, needed) is not None:
        return True
    if exact:
        return False
    folded = [grants.Grant(grants.folded(grant.permission), grant.rule) for grant in found]
    return grants.covering(folded, grants.folded(needed)) is not None


def _by_rules(case: _Case) -> Verdict | None:
    """A denial by the ToolPermissions of the tool.

    Who is pre-authorised needs none of their permissions; what they deny stays denied.
    """
    outright = _pre_authorised(case.agent, case.call.tool)
    found = [
        grants.Grant(grants.folded(grant.permission), grant.rule)
        for grant in grants.of(case.manifests, case.agent, case.call.tool)
    ]
    for rule in case.rules:
        held = [
            grants.covering(found, grants.folded(permission)) is not None
            for permission in rule.required
        ]
        enough = any(held) if rule.any_of else all(held)
        if held and not enough and not outright:
            words = (" or " if rule.any_of else " and ").join(map(str, rule.required))
            return deny(f"{rule.name} needs {words}", rule.at, rule.required)
        if rule.verdict == "deny":
            return deny(f"{rule.name} denies calls of this class", rule.verdict_at, case.needs)
    return None


def _asked(case: _Case) -> tuple[str, str] | None:
    """Why a person must say yes, and the line that wants it."""
    needs = case.needs or tuple(
        permission for rule in case.rules for permission in rule.required
    )
    for agent in case.chain:  # What anybody before must ask for is not got by handing on.
        for index, wanted in enumerate(agent.spec.governance.require_approval):
            for permission in needs:
                if wanted.covers(permission):
                    at = agent.at(f"/spec/governance/requireApproval/{index}")
                    return f"{permission} needs a person's approval", at
    for rule in case.rules:
        if rule.verdict == "approval_required":
            return f"{rule.name} wants a person's approval", rule.verdict_at
    return None


def _not_there(case: _Case) -> Verdict | None:
    """A denial when what a built-in tool works on is not declared, or not for this agent."""
    try:
        if builtin.works_on_memory(case.call.tool):
            memories.embedder(case.manifests, memories.of(case.manifests, case.agent))
    except Refused as refused:
        return deny(str(refused), case.agent.at("/spec/memory/ref"), case.needs)
    return None


def _not_runnable(case: _Case) -> Verdict | None:
    if case.tool.builtin is not None:
        return _not_there(case)
    if case.tool.spec.type == "mcp":
        return servers.not_offered(case.manifests, case.tool, case.needs)
    if case.tool.spec.type in RUNNABLE_TYPES:
        return None
    reason = f"tools of type {case.tool.spec.type} cannot be run here"
    return deny(reason, case.tool.at("/spec/type"), case.needs, ToolCode.UNSUPPORTED_TOOL)
