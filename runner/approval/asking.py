"""From a call that wants a person to the question that the person is asked. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runner.approval import request as approval_request
from runner.approval.request import BoundCall, Place
from runner.claim import Held
from runner.contract import kinds
from runner.governance.verdict import Verdict
from runner.manifest_set import ManifestSet, PlacedAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call that a person must decide on, and the rules of its namespace for that."""

    call: BoundCall
    arguments: Any
    verdict: Verdict
    places: tuple[Place, ...]
    rules: kinds.namespace.Approvals


def question(
    held: Held,
    manifests: ManifestSet,
    agent: PlacedAgent,
    message: dict[str, Any],
    verdict: Verdict,
) -> Question:
    """The question about the call in a worker's message; Refused for what has no digest."""
    arguments = message["request"]["arguments"]
    call = BoundCall(
        log="",
        task=held.task,
        step=message["step"],
        agent=manifests.called(agent),
        namespace=agent.key.namespace,
        chain=tuple(manifests.called(member) for member in manifests.chain(agent)),
        tool=message["tool"],
        permissions=tuple(str(permission) for permission in verdict.permissions),
        arguments=approval_request.arguments_digest(arguments),
        manifests=held.manifests,
        commit=held.commit,
    )
    return Question(
        call=call,
        arguments=arguments,
        verdict=verdict,
        places=tuple(_places(manifests, agent, message["tool"], verdict)),
        rules=manifests.rules(agent.key.namespace).approvals,
    )


def _places(
    manifests: ManifestSet, agent: PlacedAgent, tool: str, verdict: Verdict
) -> Iterator[Place]:
    """The lines that govern the call, and who applied them when it was not Git."""
    lines = [("rule", verdict.rule)]
    if verdict.grant is not None:
        lines.append(("grant", verdict.grant))
    placed = manifests.tool(agent, tool)
    if placed is not None:
        lines += [
            ("requires", placed.at(f"/spec/requires/{index}"))
            for index in range(len(placed.spec.requires))
        ]
    for what, at in dict.fromkeys(lines):
        path = at.rpartition(":")[0]
        # A file of a person and one of the repository may have the same name: both count.
        owners = {placed.by for placed in manifests.resources.values() if placed.path == path}
        for by in sorted(owners or {None}, key=str):
            yield Place(what, at, by)
