"""What must change so that the recorded state is what the repository says. Pure.

A plan looks only at resources that somebody touched; the rest is a number. It is made of
hashes: `explain` adds the fields for those who want to read it.

    desired   recorded as             becomes
    yes       nothing                 create
    yes       ours, same hash         unchanged; update "moved" when the file is another
    yes       ours, other hash        update
    yes       a person's              update "taken over": Git wins, and it is said
    yes       Git's, asked by a person, or another repository's       blocked
    no        ours                    delete
    no        anybody else's          left alone

A deletion and a creation that are one resource under another name become one move (`moves`).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reconciler import diff, moves
from reconciler.change import Action, Block, Change, Plan, ReasonCode, Target
from reconciler.problem import Problem
from reconciler.resource import Recorded, Resource
from runner.contract import audit_entry
from runner.contract.kinds import Key, digest

EXPLAINED_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """The two sides of a plan, for the resources touched; `untouched` counts the others.

    `removed_paths` are the files that are gone, and `ignored_paths` those of them that the
    settings hide, so that a deletion can say why; `renames` are those that git sees under
    another path, where it was asked.
    """

    target: Target
    desired: Mapping[Key, Resource]
    recorded: Mapping[Key, Recorded]
    untouched: int = 0
    removed_paths: frozenset[str] = frozenset()
    renames: moves.Renames = field(default_factory=dict)
    ignored_paths: frozenset[str] = frozenset()
    warnings: tuple[Problem, ...] = ()
    parsed: int = 0
    neighbours: frozenset[str] | None = None
    """The owners of the other repositories that are followed; None where nobody knows."""


def plan(request: PlanRequest) -> Plan:
    """The plan: its changes sorted by key, its id bound to commit, serial and content."""
    owner = request.target.owner
    changes = tuple(moves.joined(_changes(request), request.renames))
    changed = {change.key for change in changes}
    kept = [
        (resource, request.recorded[key])
        for key, resource in request.desired.items()
        if key not in changed and key in request.recorded
    ]
    blocked = tuple(_blocked(request))
    counts = Counter(change.action for change in changes)
    return Plan(
        id=_id(request.target, changes),
        target=request.target,
        changes=changes,
        unchanged=request.untouched + sum(before.owner == owner for _, before in kept),
        relocated=tuple(
            after for after, before in kept if before.owner == owner and _shifted(before, after)
        ),
        warnings=request.warnings,
        blocked=blocked,
        examined=len(request.desired),
        parsed=request.parsed,
        counts={action: counts[action] for action in Action},
    )


def explain(planned: Plan, limit: int = EXPLAINED_MAX) -> Plan:
    """The same plan, its first `limit` changes with the fields that differ."""
    explained = tuple(
        replace(change, fields=diff.diff(_body(change.before), _body(change.after)))
        if change.respecified and change.action is not Action.DELETE
        else change
        for change in planned.changes[:limit]
    )
    return replace(planned, changes=explained + planned.changes[limit:])


def _changes(request: PlanRequest) -> Iterator[Change]:
    owner = request.target.owner
    for key in sorted({*request.desired, *request.recorded}):
        before, after = request.recorded.get(key), request.desired.get(key)
        if after is None:
            if before is not None and before.owner == owner:
                code, reason = _deletion(before, request)
                yield Change(Action.DELETE, key, reason, before, None, code=code)
        elif before is None:
            reason, code = f"new in {after.path}", ReasonCode.CREATE_NEW
            yield Change(Action.CREATE, key, reason, None, after, code=code)
        elif why := _update(owner, before, after):
            code, reason = why
            yield Change(Action.UPDATE, key, reason, before, after, code=code)


_Why = tuple[ReasonCode, str]


def _update(owner: str, before: Recorded, after: Resource) -> _Why | None:
    """Why a resource that exists changes; None when it does not, or may not."""
    if _foreign(owner, before):
        return None
    if before.owner != owner:
        reason = f"taken over from {before.owner}, who applied it by hand"
        return ReasonCode.UPDATE_TAKEN_OVER, reason
    moved = before.path != after.path
    if before.spec_hash != after.spec_hash:
        if moved:
            reason = f"changed and moved from {before.path}"
            return ReasonCode.UPDATE_CHANGED_AND_FILE_MOVED, reason
        return ReasonCode.UPDATE_MANIFEST_CHANGED, "its manifest changed"
    return (ReasonCode.UPDATE_FILE_MOVED, f"moved from {before.path}") if moved else None


def _deletion(before: Recorded, request: PlanRequest) -> _Why:
    if before.path in request.ignored_paths:
        return ReasonCode.DELETE_FILE_IGNORED, f"because source.ignore hides {before.path}"
    if before.path in request.removed_paths:
        return ReasonCode.DELETE_FILE_REMOVED, f"because {before.path} was deleted"
    return ReasonCode.DELETE_MANIFEST_REMOVED, f"because it is no longer in {before.path}"


def _foreign(owner: str, before: Recorded) -> bool:
    """Whether the resource belongs to a repository other than the one that asks."""
    return before.owner.startswith("git:") and before.owner != owner


def _blocked(request: PlanRequest) -> Iterator[Block]:
    for key in sorted(request.desired):
        before = request.recorded.get(key)
        if before is not None and _foreign(request.target.owner, before):
            yield Block("OwnedElsewhere", _elsewhere(key, before, request.neighbours))


def _elsewhere(key: Key, before: Recorded, neighbours: frozenset[str] | None) -> str:
    at = f" at commit {before.commit[:8]}" if before.commit else ""
    place = f"{before.path}:{before.line}{at}"
    if neighbours is not None and before.owner not in neighbours:
        name = before.owner.removeprefix("git:")
        return (
            f"{key} belongs to {before.owner} ({place}), which is not in the settings any more:"
            f" call a repository {name} again to go on with it, or give this one another name"
        )
    return (
        f"{key} belongs to {before.owner}: {place} declares it; change it there, or give this"
        " one another name"
    )


def _shifted(before: Recorded, after: Resource) -> bool:
    return before.line != after.line or before.blob != after.blob


def _body(side: Recorded | Resource | None) -> dict[str, Any] | None:
    if side is None:
        return None
    body: dict[str, Any] = json.loads(side.body)
    return body


def _id(target: Target, changes: tuple[Change, ...]) -> str:
    content = {
        "owner": target.owner,
        "commit": target.commit,
        "previous": target.previous_commit,
        "serial": target.serial,
        "changes": [
            [change.action.value, str(change.key)]
            + ([change.before.owner, change.before.spec_hash] if change.before else ["", ""])
            + (
                [change.after.spec_hash, change.after.path, change.after.line]
                if change.after
                else ["", "", 0]
            )
            + ([str(change.previous)] if change.previous else [])
            for change in changes
        ],
    }
    return digest(audit_entry.canonical(content))
