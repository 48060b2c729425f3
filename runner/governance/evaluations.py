"""What an evaluation denies of what its manifests grant. Pure."""

from dataclasses import replace

from runner.evaluation import Handling
from runner.governance.verdict import Call, Decision, Verdict, deny
from runner.manifest_set import ManifestSet, PlacedAgent


def decide(manifests: ManifestSet, agent: PlacedAgent, call: Call, granted: Verdict) -> Verdict:
    """The verdict on a call of a task: as it was, unless the task belongs to an evaluation.

    What a person must say yes to waits for that in an evaluation too.
    """
    rules = manifests.evaluation
    if rules is None or granted.decision is Decision.DENY:
        return granted
    tool = manifests.tool(agent, call.tool)
    ruling = rules.ruling(call.tool, tool.spec if tool else None, call.arguments)
    if ruling.handling is Handling.DENIED:
        return deny(ruling.reason, rules.rule, granted.permissions)
    if ruling.handling is Handling.STUB:
        reason = f"{granted.reason}; answered by the evaluation's stub, the tool is not called"
        return replace(granted, reason=reason)
    return granted
