"""A plan that waits for a person: until somebody has approved its id, it is not applied. Pure.

    source.approval   which plans wait
    never             none
    widening          those with which somebody may do more than before
    deletion          those that delete a resource
    always            those that change anything

An approval is an override that names the id of the plan. The id is bound to the commit and to
the serial of the recorded state: whatever else is applied in between, the approval is void.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from reconciler.change import Action, Block, Plan
from reconciler.gate.request import GateRequest
from reconciler.override import Override, OverrideKind
from runner.contract.settings import DEFAULT_SOURCE

REASON: Final = "ApprovalRequired"


def rule(request: GateRequest) -> Iterable[Block]:
    """A block unless nobody has to approve this plan, or somebody did."""
    why = _why(request.settings.approval, request.plan)
    given = [item for item in request.overrides if item.kind is OverrideKind.PLAN]
    if not why or any(item.subject == request.plan.id for item in given):
        return ()
    return (Block(REASON, f"{_waits(request.plan, why, given)}: {_commands(request.plan)}"),)


def is_called(planned: Plan, name: str) -> bool:
    """Whether this is the id of the plan: whole, without its algorithm, or in short."""
    return name in (planned.id, planned.id.removeprefix("sha256:"), planned.short_id)


def approved(planned: Plan) -> Plan:
    """The same plan, once somebody has approved its id."""
    blocked = tuple(item for item in planned.blocked if item.reason != REASON)
    return replace(planned, blocked=blocked)


def _why(setting: str, planned: Plan) -> str:
    """Why the plan waits; nothing when it does not."""
    if setting == "widening" and planned.widenings:
        return "lets agents do more"
    if setting == "deletion" and planned.counts.get(Action.DELETE):
        return "deletes resources"
    return "changes something" if setting == "always" and planned.changes else ""


def _waits(planned: Plan, why: str, given: Sequence[Override]) -> str:
    if given:
        old = given[-1].subject.removeprefix("sha256:")[:12]
        return (
            f"the approval of plan {old} by {given[-1].actor} is void, since the state moved"
            f" meanwhile: it is plan {planned.short_id} now, which {why} and waits for another"
        )
    return f"plan {planned.short_id} {why}, and waits until a person approves it"


def _commands(planned: Plan) -> str:
    source = planned.target.source
    named = f" --source {source}" if source != DEFAULT_SOURCE else ""
    return (
        f"git push -o approve={planned.short_id}, or where it is pushed already:"
        f" orloj apply {planned.short_id}{named}"
    )
