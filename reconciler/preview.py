"""What applying a commit would do: load it, check it, plan it. Writes only the blob cache.

The pass and `orloj plan` both come through here, so that what is shown is what is applied.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from reconciler import (
    impact_rows,
    in_flight_rows,
    moving,
    neighbour,
    override,
    recorded,
    surroundings,
)
from reconciler.change import Block, Plan, Provenance, Target
from reconciler.desired import Desired, Loader, Scope
from reconciler.gate import gate
from reconciler.gate.request import GateRequest
from reconciler.git.source import GitSource
from reconciler.in_flight import Awaited
from reconciler.override import Override
from reconciler.plan import PlanRequest
from reconciler.problem import Problem, has_errors
from reconciler.recorded import SourceState
from reconciler.surroundings import Surroundings
from reconciler.trust import record, trust
from reconciler.trust.trust import TrustRequest
from reconciler.trust.verdict import Inspection
from runner.contract import clock, errors
from runner.contract.database import Database
from runner.contract.source_settings import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a pass at a commit would do: a plan, or what forbids one.

    Without a plan there are problems, or `blocks`: the commit is not trusted, and was not
    read. `around` is what the plan reaches, for those who ask more about it; `awaited` are
    the changes that wait for tasks in flight.
    """

    commit: str
    plan: Plan | None
    problems: tuple[Problem, ...] = ()
    blocks: tuple[Block, ...] = ()
    around: Surroundings | None = None
    awaited: tuple[Awaited, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where plans come from: the repository, its loader, and the names they are made under."""

    git: GitSource
    loader: Loader
    database: Database
    owner: str
    source: str
    ref: str
    settings: Source
    neighbours: frozenset[str] = frozenset()
    """The owners of the other repositories that are followed."""


def preview(
    place: Place,
    commit: str,
    state: SourceState | None,
    scope: Scope,
    *,
    now_us: int,
    letting: Sequence[Override] = (),
    touching: bool = False,
) -> Preview:
    """The plan for a fetched commit, or its problems; SourceError when Git cannot say.

    `now_us` says whether an accepted risk is still accepted. `letting` is let pass besides
    what is recorded. `touching` also says what the changes touch, for those who read it.
    """
    previous = state.applied_commit if state else None
    # Two questions to git that do not need each other's answers, half of what a small plan
    # costs: the second thread asks about the commit while this one asks about its files.
    with ThreadPoolExecutor(1) as pool, place.database.read() as connection:
        overrides = (*override.given(connection, place.source, commit), *letting)
        before = record.read(connection, place.source, previous) if previous else None
        asked = pool.submit(_target, place, commit, previous, before)
        if _strict(place.settings) and (blocks := asked.result()[1]):
            return Preview(commit=commit, plan=None, blocks=blocks)
        desired = place.loader.load(connection, commit, previous, scope)
        target = asked.result()[0].at(recorded.serial(connection))
        planned, problems = _planned(connection, place, target, desired)
        if planned is None:
            return Preview(commit=commit, plan=None, problems=problems)
        around = surroundings.look(connection, desired.resources, planned.changes)
        changes = planned.changes
        needed = neighbour.needed(connection, place.neighbours, changes, overrides)
        waits = in_flight_rows.awaited(connection, place.source, changes, now_us)
        touched = impact_rows.look(connection, changes, now_us) if touching else None
    _refuse_empty(planned, commit)
    planned, risks = around.judge(planned, clock.day(now_us))
    problems = (*problems, *risks)
    if has_errors(risks):
        return Preview(commit=commit, plan=None, problems=problems)
    asking = GateRequest(
        plan=planned,
        settings=place.settings,
        overrides=overrides,
        now_us=now_us,
        anew=scope is Scope.EVERYTHING and previous is not None,
        awaited=waits,
    )
    blocked = (*planned.blocked, *needed, *gate.blocks(asking))
    planned = replace(planned, warnings=problems, blocked=blocked, impact=touched)
    return Preview(commit=commit, plan=planned, problems=problems, around=around, awaited=waits)


def _planned(
    connection: Connection, place: Place, target: Target, desired: Desired
) -> tuple[Plan | None, tuple[Problem, ...]]:
    """The plan before anybody judges it, and every problem; None where one forbids a plan."""
    if has_errors(desired.problems):
        return None, desired.problems
    request = _request(place, target, desired)
    planned, mistakes = moving.planned(connection, place.git, request)
    if mistakes:
        return None, tuple(sorted([*desired.problems, *mistakes]))
    return planned, desired.problems


def _refuse_empty(planned: Plan, commit: str) -> None:
    if planned.total == 0 and not planned.blocked:
        raise errors.SourceStalled(
            "EmptyTree",
            f"commit {commit[:12]} declares no resource at all: refusing to delete everything;"
            " put a manifest back, or set source.url to nothing to stop following it",
        )


def inspect(place: Place, commit: str, previous: str | None, *, whole: bool) -> Inspection:
    """How every commit is signed that a fetched commit brings; SourceError."""
    with place.database.read() as connection:
        before = record.read(connection, place.source, previous) if previous else None
    request = _trust_request(place, commit, previous, before)
    listed = place.git.history(None if whole else previous, commit, whole=True)
    return trust.inspect(request, listed)


def _strict(settings: Source) -> bool:
    """Whether nothing of a commit may be read before somebody vouches for it."""
    return settings.verify != "off"


def _request(place: Place, target: Target, desired: Desired) -> PlanRequest:
    return PlanRequest(
        neighbours=place.neighbours,
        target=target,
        desired=desired.resources,
        recorded=desired.recorded,
        untouched=desired.untouched,
        removed_paths=desired.removed_paths,
        ignored_paths=desired.ignored_paths,
        warnings=desired.problems,
        parsed=desired.parsed,
    )


def _target(
    place: Place,
    commit: str,
    previous: str | None,
    before: Provenance | None,
) -> tuple[Target, tuple[Block, ...]]:
    """What the plan is for, and why its commit is not trusted, if so."""
    request = _trust_request(place, commit, previous, before)
    trusted, history = trust.examine(request), request.history
    moved = previous is not None and previous != commit
    counted = moved and history.fast_forward and history.complete
    newest = history.newest
    target = Target(
        owner=place.owner,
        source=place.source,
        ref=place.ref,
        commit=commit,
        tree=newest.tree,
        previous_commit=previous,
        author=newest.author,
        committer=newest.committer,
        subject=newest.subject,
        commits=len(history.commits) if counted else None,
        fast_forward=history.fast_forward,
        provenance=trusted.provenance,
    )
    return target, trusted.blocks


def _trust_request(
    place: Place,
    commit: str,
    previous: str | None,
    before: Provenance | None,
) -> TrustRequest:
    whole = trust.whole_history(place.settings)
    return TrustRequest(
        git=place.git,
        settings=place.settings,
        source=place.source,
        previous=previous,
        history=place.git.history(previous, commit, whole=whole),
        before=before,
    )
