"""May this agent make this call? Pure, and closed by default.

In order: the tool is granted to the agent; the tool is declared; it declares what a call
needs; each of these permissions is granted for this tool; none of them waits for a
person. Whatever is missing, unknown or unreadable is a denial, and every verdict names the
manifest line that made it.
"""

from dataclasses import dataclass
from enum import StrEnum

from runner.contract.errors import Refused
from runner.manifest_set import PlacedAgent, PlacedTool

RUNNABLE_TYPES = frozenset({"http", "command", "python", "sql"})


class Decision(StrEnum):
    """What the guard says."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, the permission it is about, and the rule's `path:line`."""

    decision: Decision
    reason: str
    rule: str
    permission: str | None = None


def decide(agent: PlacedAgent, name: str, tool: PlacedTool | None) -> Verdict:
    """The verdict on a call of the tool `name` by an agent."""
    try:
        return _decided(agent, name, tool)
    except Refused as error:  # A manifest that another version of this program recorded.
        return _deny(str(error), agent.at(""))


def _decided(agent: PlacedAgent, name: str, tool: PlacedTool | None) -> Verdict:
    position = next(
        (index for index, grant in enumerate(agent.spec.tools) if grant.name == name), None
    )
    if position is None:
        return _deny(f"the agent is not granted the tool {name}", agent.at("/spec/tools"))
    if tool is None:
        return _deny(f"the tool {name} is not declared", agent.at(f"/spec/tools/{position}"))
    if not tool.spec.requires:
        return _deny(
            f"the tool {name} declares no permission that a call needs (requires)", tool.at("")
        )
    needed = " ".join(str(permission) for permission in tool.spec.requires)
    granted = agent.spec.tools[position].permissions
    for permission in tool.spec.requires:
        if permission not in granted:
            return _deny(
                f"the agent is not granted {permission} for the tool {name}",
                agent.at(f"/spec/tools/{position}"),
                needed,
            )
    return _approval_needed(agent, tool, needed) or _runnable(agent, tool, position, needed)


def _approval_needed(agent: PlacedAgent, tool: PlacedTool, needed: str) -> Verdict | None:
    for index, permission in enumerate(agent.spec.governance.require_approval):
        if permission in tool.spec.requires:
            return _deny(
                f"{permission} needs a person's approval, and none was given",
                agent.at(f"/spec/governance/requireApproval/{index}"),
                needed,
            )
    return None


def _runnable(agent: PlacedAgent, tool: PlacedTool, position: int, needed: str) -> Verdict:
    if tool.spec.type not in RUNNABLE_TYPES:
        return _deny(
            f"tools of type {tool.spec.type} cannot be run here", tool.at("/spec/type"), needed
        )
    first = agent.spec.tools[position].permissions.index(tool.spec.requires[0])
    return Verdict(
        Decision.ALLOW,
        f"{needed} is granted",
        agent.at(f"/spec/tools/{position}/permissions/{first}"),
        needed,
    )


def _deny(reason: str, rule: str, permission: str | None = None) -> Verdict:
    return Verdict(Decision.DENY, reason, rule, permission)
