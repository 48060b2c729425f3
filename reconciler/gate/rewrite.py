"""Whether a commit that does not continue what is applied may be followed. Pure.

    allow   it is followed, and said loudly
    pause   it waits until a person has accepted that very commit
    deny    it is refused, whoever accepts it

A rule of the gate and not of trust, so that a person sees what it would change beforehand.
"""

from collections.abc import Iterator

from reconciler.change import Block
from reconciler.gate.request import GateRequest
from reconciler.override import OverrideKind
from runner.contract.settings import DEFAULT_SOURCE


def rewritten(request: GateRequest) -> Iterator[Block]:
    """Why a commit that is no descendant of the applied one may not be followed."""
    target, policy = request.plan.target, request.settings.non_fast_forward
    if target.fast_forward or target.commit is None or policy == "allow":
        return
    accepted = any(item.kind is OverrideKind.REWRITE for item in request.overrides)
    if policy == "pause" and accepted:
        return
    assert target.previous_commit is not None
    what = (
        f"the history was rewritten: commit {target.commit[:12]} does not continue commit"
        f" {target.previous_commit[:12]}, which is applied"
    )
    branch = target.ref if target.ref.startswith("refs/") else f"refs/heads/{target.ref}"
    back = f"put it back with git push --force REMOTE {target.previous_commit}:{branch}"
    named = "" if target.source == DEFAULT_SOURCE else f" {target.source}"
    how = (
        f'accept it with orloj reconcile{named} --accept-rewrite --reason "WHY", or {back}'
        if policy == "pause"
        else f"source.non_fast_forward is deny, so {back}, or change the setting"
    )
    yield Block("HistoryRewritten", f"{what}; {how}")
