"""Whether a commit that does not continue what is applied may be followed. Pure.

allow   it is followed, and said loudly
pause   it waits until a person has accepted that very commit
deny    it is refused, whoever accepts it
"""

from collections.abc import Iterable

from reconciler.change import Block
from reconciler.override import Override, OverrideKind
from runner.contract.settings import DEFAULT_SOURCE
from runner.contract.source_settings import Source


def blocks(
    settings: Source, source: str, previous: str, commit: str, overrides: Iterable[Override]
) -> tuple[Block, ...]:
    """Why a commit that is no descendant of the applied one may not be followed."""
    if settings.non_fast_forward == "allow":
        return ()
    accepted = any(item.kind is OverrideKind.REWRITE for item in overrides)
    if settings.non_fast_forward == "pause" and accepted:
        return ()
    what = (
        f"the history was rewritten: commit {commit[:12]} does not continue commit"
        f" {previous[:12]}, which is applied"
    )
    back = f"put it back with git push --force REMOTE {previous}:{_branch(settings.ref)}"
    named = "" if source == DEFAULT_SOURCE else f" {source}"
    how = (
        f"look at it with orloj plan, then accept it with orloj reconcile{named}"
        f' --accept-rewrite --reason "WHY", or {back}'
        if settings.non_fast_forward == "pause"
        else f"source.non_fast_forward is deny, so {back}, or change the setting"
    )
    return (Block("HistoryRewritten", f"{what}; {how}"),)


def _branch(ref: str) -> str:
    return ref if ref.startswith("refs/") else f"refs/heads/{ref}"
