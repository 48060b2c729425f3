"""Which call a drill tries, and the manifests it is tried under. Pure.

An agent's own manifests are taken as they were recorded, but for what would reach the world:
every tool becomes the canary with the same requirements, every model the drill's own, and no
secret comes along. Limits are left out, so that a used-up budget does not pass for a denial
of the guard.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from runner.contract import kinds
from runner.contract.errors import Refused
from runner.contract.kinds import Key, Permission
from runner.contract.kinds.tool import template_arguments
from runner.governance import judge
from runner.governance.verdict import Call, Decision
from runner.manifest_set import ManifestSet, Placed, PlacedAgent, PlacedTool

_TOOL_KEPT: Final = ("requires", "operation_classes", "capabilities", "risk_level")
_LEFT_OUT: Final = frozenset({"Secret", "DataSource"})
_NAME: Final = "canary"
_PERMISSION: Final = {"read": "canary"}


@dataclass(frozen=True)
class Rehearsal:
    """The call of an agent, and every resource that decides on it."""

    agent: Key
    call: Call
    resources: tuple[Placed, ...]

    def tool(self) -> Key:
        """The key of the tool that is called."""
        return kinds.base.named("Tool", self.call.tool, self.agent.namespace)

    def wanting_approval(self) -> "Rehearsal":
        """The same, with a person's approval wanted for whatever the agent does."""
        return replace(self, resources=tuple(map(self._wanting, self.resources)))

    def _wanting(self, placed: Placed) -> Placed:
        if placed.key != self.agent:
            return placed
        manifests = ManifestSet(self.agent, {one.key: one for one in self.resources})
        agent = manifests.agent(self.agent.name)
        needs = judge.decide(manifests, agent, self.call).permissions
        spec = json.loads(placed.body)["spec"]
        wanted = [{one.verb: one.resource} for one in needs]
        return _with(placed, {**spec, "governance": {"requireApproval": wanted}})


def of_our_own(address: str) -> Rehearsal:
    """An agent of the drill's own, with one tool that it may call."""
    agent = Key("default", "Agent", _NAME)
    tool = {"type": "http", "endpoint": address, "requires": [_PERMISSION]}
    grant = {"name": _NAME, "permissions": [_PERMISSION]}
    placed = (
        _declared(agent, {"model": _NAME, "tools": [grant]}),
        _declared(Key("default", "Tool", _NAME), tool),
        _declared(Key("default", "ModelEndpoint", kinds.agent.MODEL_ENDPOINT_DEFAULT), {}),
    )
    return Rehearsal(agent, Call(_NAME, {}), tuple(_harmless(one, address) for one in placed))


def of_agent(manifests: ManifestSet, address: str) -> Rehearsal:
    """A call that the agent of a recorded set may make; Refused when none is found."""
    kept = [one for key, one in manifests.resources.items() if key.kind not in _LEFT_OUT]
    resources = tuple(_harmless(one, address) for one in kept)
    agent = ManifestSet(manifests.subject, {one.key: one for one in resources}).agent(
        manifests.subject.name
    )
    changed = ManifestSet(manifests.subject, {one.key: one for one in resources})
    for call in _calls(changed, agent):
        if judge.decide(changed, agent, call).decision is Decision.ALLOW:
            return Rehearsal(manifests.subject, call, resources)
    raise Refused(
        f"no call was found that the agent {agent.key.name} may make without a person; name"
        " another agent, or none: then the drill tries one of its own"
    )


def _calls(manifests: ManifestSet, agent: PlacedAgent) -> Iterator[Call]:
    """Calls that the agent's grants look as if they were meant for."""
    for grant in agent.spec.tools:
        tool = manifests.tool(agent, grant.name)
        if tool is not None:
            yield Call(grant.name, _arguments(tool, grant.permissions))
    for name in agent.spec.allowed_tools:
        yield Call(name, {})


def _arguments(tool: PlacedTool, granted: Sequence[Permission]) -> dict[str, Any]:
    """Arguments that make each requirement one of the grants, where that can be guessed."""
    found: dict[str, Any] = {}
    for needed in tool.spec.requires:
        paths = template_arguments(needed.resource)
        words = _words(needed, granted)
        for path, word in zip(paths, [words] * len(paths), strict=True):
            here = found
            for step in path[:-1]:
                here = here.setdefault(step, {})
            here[path[-1]] = word
    return found


def _words(needed: Permission, granted: Sequence[Permission]) -> str:
    """What an argument may be, so that what a template becomes is granted."""
    before, _, rest = needed.resource.partition("{")
    after = rest.rpartition("}")[2]
    for grant in granted:
        resource = grant.resource.replace("*", _NAME)
        fits = resource.startswith(before) and resource.endswith(after)
        if grant.verb == needed.verb and fits and len(resource) > len(before) + len(after):
            return resource[len(before) : len(resource) - len(after)]
    return _NAME


def _declared(key: Key, spec: dict[str, Any]) -> Placed:
    return Placed(key, json.dumps({"spec": spec}), "drill.yaml", 1, {})


def _harmless(placed: Placed, address: str) -> Placed:
    """A resource as it stands in the drill: it reaches the canary and nothing else."""
    spec = json.loads(placed.body).get("spec", {})
    match placed.key.kind:
        case "Tool":
            kept = {name: spec[name] for name in _TOOL_KEPT if name in spec}
            return _with(placed, {**kept, "type": "http", "endpoint": f"{address}/tool"})
        case "ModelEndpoint":
            model = {"provider": "openai-compatible", "base_url": f"{address}/v1"}
            return _with(placed, {**model, "default_model": _NAME})
        case "Agent":
            wanted = {
                name: value
                for name, value in spec.get("governance", {}).items()
                if name == "requireApproval"
            }
            # The drill tries the guard: how a turn ends is not its business.
            bare: dict[str, Any] = {"limits": {}, "execution": {}}
            return _with(placed, {**spec, **bare, "governance": wanted})
    return placed


def _with(placed: Placed, spec: dict[str, Any]) -> Placed:
    return replace(placed, body=json.dumps({"spec": spec}, sort_keys=True))
