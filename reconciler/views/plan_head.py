"""What a plan is for and what it comes to: its first lines and its last. Pure."""

from collections.abc import Iterator
from typing import Final

from reconciler.change import Action, Plan, Provenance, Target
from reconciler.review.selection import Partial
from reconciler.views.plain import plain
from reconciler.views.plan_line import Telling
from reconciler.views.problems import counted
from reconciler.views.table import number

_VERBS: Final = (
    (Action.CREATE, "to create"),
    (Action.UPDATE, "to update"),
    (Action.DELETE, "to delete"),
    (Action.MOVE, "to move"),
)


def head(planned: Plan, telling: Telling) -> Iterator[str]:
    """The first lines: the plan, its commit, and what should be known before reading on."""
    yield _first(planned, telling)
    if planned.target.subject:
        yield f"  {planned.target.subject} ({planned.target.author})"
    for remark in (*provenance_remarks(planned.target.provenance), *telling.remarks):
        yield f"  {remark}"
    if telling.partial is not None:
        yield f"  {partial_words(telling.partial)}"


def summary(planned: Plan, partial: Partial | None = None, title: str = "Plan") -> str:
    """The one line that says what the plan comes to."""
    if planned.blocked:
        return f"Blocked by {counted(len(planned.blocked), 'reason')}: nothing can be applied."
    if not planned.changes and partial is None:
        where = f"{plain(ref_words(planned.target))} says"
        where = where if planned.target.commit else "you wrote"
        same = counted(planned.unchanged, "resource")
        if title != "Plan":
            return f"No differences: {same}."
        return f"No changes. What is recorded is what {where}: {same}."
    counts = planned.counts
    parts = [
        f"{number(counts[action])} {verb}"
        for action, verb in _VERBS
        if counts[action] or action is not Action.MOVE
    ]
    what = title if partial is None else "Part of a plan"
    return f"{what}: {', '.join(parts)}, {number(planned.unchanged)} unchanged."


def partial_words(partial: Partial) -> str:
    """What a part of a plan leaves out."""
    hidden = sum(partial.hidden.values())
    needed = f" and {number(partial.needed)} that they need" if partial.needed else ""
    words = (
        f"Shown: {counted(partial.named, 'change')} of {', '.join(partial.targets)}{needed}."
        f" Not shown: {number(hidden)}"
    )
    if partial.hidden_widenings:
        words += f", with {counted(partial.hidden_widenings, 'widening')}"
    return f"{words}. A commit is applied whole; this is for reading."


def provenance_remarks(found: Provenance) -> list[str]:
    """Who reviewed, and what a reader should know of the signatures."""
    reviewed = [f"reviewed by {', '.join(found.reviewers)}"] if found.reviewers else []
    return reviewed + list(found.remarks)


def _signed(found: Provenance) -> str:
    """How the newest commit is signed, for the header; nothing where nobody knows."""
    return {
        "good": f", signed by {found.signer or found.key} ✔",
        "none": ", unsigned",
        "unknown": ", signature not verified",
        "bad": ", signature BAD",
    }.get(found.signature, "")


def ref_words(target: Target) -> str:
    """`main@8411f23d`."""
    at = f"{_branch(target.ref)}@" if target.ref else ""
    return f"{at}{(target.commit or '')[:8]}"


def _first(planned: Plan, telling: Telling) -> str:
    target, elapsed_ms = planned.target, telling.elapsed_ms
    parts = [f"{telling.title} {planned.short_id}"]
    signed = _signed(target.provenance)
    if target.commit is None:
        parts.append(f"owned by {target.owner}")
    elif target.previous_commit in (None, target.commit):
        first = f" (first{signed})" if target.previous_commit is None else ""
        parts.append(ref_words(target) + first)
    else:
        assert target.previous_commit is not None
        old, new = target.previous_commit[:8], target.commit[:8]
        at = f"{_branch(target.ref)}@" if target.ref else ""
        parts.append(f"{at}{old} → {new} ({_history(target, telling)}{signed})")
    if not telling.stateless:
        parts.append(f"state #{target.serial}")
    took = f" in {elapsed_ms:.0f} ms" if elapsed_ms is not None else ""
    of = f"{number(planned.examined)} of " if target.commit else ""
    total = planned.total if target.commit else planned.examined
    parts.append(f"{of}{counted(total, 'manifest')} examined{took}")
    return " · ".join(parts)


def _branch(ref: str) -> str:
    return ref.removeprefix("refs/heads/")


def _history(target: Target, telling: Telling) -> str:
    if telling.back is not None:
        return f"{counted(telling.back, 'commit')} back"
    if not target.fast_forward:
        return "history REWRITTEN"
    commits = "" if target.commits is None else f"{counted(target.commits, 'commit')}, "
    return f"{commits}fast-forward"
