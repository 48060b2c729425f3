"""Two commits of a repository side by side, whatever is applied: a plan that nobody applies.

Both are read whole; blobs that were ever parsed come out of the cache. Nothing else is
written, and nothing is asked of the recorded state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler import moves, plan, surroundings
from reconciler.change import Action, Plan, Target
from reconciler.governance import comparison
from reconciler.governance.finding import Finding
from reconciler.governance.world import Declared, World
from reconciler.plan import PlanRequest
from reconciler.reconcile import Reconciler
from reconciler.resource import Recorded, Resource, git_owner
from runner.contract.kinds import Key

Declarations = Mapping[Key, Resource]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two commits, all that each declares, and what leads from one to the other."""

    before: tuple[str, Declarations]
    after: tuple[str, Declarations]
    plan: Plan


def compare(reconciler: Reconciler, old: str, new: str) -> Compared:
    """What differs between two commits; SourceError where one is gone or has mistakes."""
    before, after = reconciler.declared(old), reconciler.declared(new)
    owner = git_owner(reconciler.name)
    request = PlanRequest(
        target=Target(
            owner=owner,
            source=reconciler.name,
            commit=after[0],
            previous_commit=before[0],
            commits=reconciler.ahead(after[0], before[0]),
        ),
        desired=after[1],
        recorded={key: _recorded(item, owner, before[0]) for key, item in before[1].items()},
        removed_paths=frozenset(_paths(before[1]) - _paths(after[1])),
    )
    made = plan.plan(request)
    if moves.undecided(made.changes):
        renames = reconciler.renames(before[0], after[0])
        made = plan.plan(replace(request, renames=renames))
    made = replace(made, findings=_findings(made, before[1], after[1]))
    return Compared(before=before, after=after, plan=made)


def _recorded(resource: Resource, owner: str, commit: str) -> Recorded:
    return Recorded(
        key=resource.key,
        owner=owner,
        commit=commit,
        path=resource.path,
        line=resource.line,
        spec_hash=resource.spec_hash,
        body=resource.body,
        generation=0,
        blob=resource.blob,
    )


def _paths(declared: Declarations) -> set[str]:
    return {resource.path for resource in declared.values()}


def _findings(made: Plan, before: Declarations, after: Declarations) -> tuple[Finding, ...]:
    moved = {change.key: change.previous for change in made.changes if change.previous}
    changed = {change.key for change in made.changes if change.respecified}
    changed |= {change.key for change in made.changes if change.action is Action.MOVE}
    old: dict[Key, Declared] = {key: surroundings.declared(r) for key, r in before.items()}
    new = {key: surroundings.declared(resource) for key, resource in after.items()}
    former = {key: replace(old[was], key=key) for key, was in moved.items()}
    return comparison.compare(World(old | former), World(new), changed, moved)
