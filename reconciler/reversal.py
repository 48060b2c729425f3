"""The plan from what is applied back to an earlier commit, whose manifests the mirror has.

It asks no trust and no gate: nobody vouches for a step back, and the commit that brings it
for good goes through the normal pass. Reads only, besides the cache of blobs.
"""

from reconciler import plan, recorded, surroundings
from reconciler.change import Plan, Target
from reconciler.desired import Scope
from reconciler.plan import PlanRequest
from reconciler.preview import Place
from reconciler.problem import Problem, has_errors
from runner.contract import clock, errors


def plan_back(
    place: Place, applied: str | None, commit: str, now_us: int
) -> tuple[Plan, tuple[Problem, ...]]:
    """What going back to a commit would do, and its risks; SourceError.

    `now_us` says whether an accepted risk is still accepted.
    """
    info = place.git.commit_info(commit)
    with place.database.read() as connection:
        desired = place.loader.load(connection, commit, applied, Scope.EVERYTHING)
        serial = recorded.serial(connection)
        if has_errors(desired.problems):
            raise errors.SourceStalled(
                "ManifestInvalid",
                f"commit {commit[:12]} cannot be gone back to: {desired.problems[0]}",
            )
        target = Target(
            owner=place.owner,
            source=place.source,
            ref=place.ref,
            commit=commit,
            tree=info.tree,
            previous_commit=applied,
            serial=serial,
            author=info.author,
            committer=info.committer,
            subject=info.subject,
        )
        request = PlanRequest(
            target=target,
            desired=desired.resources,
            recorded=desired.recorded,
            untouched=desired.untouched,
            removed_paths=desired.removed_paths,
            warnings=desired.problems,
            parsed=desired.parsed,
        )
        planned = plan.plan(request)
        around = surroundings.look(connection, desired.resources, planned.changes)
    judged, risks = around.judge(planned, clock.day(now_us))
    return judged, tuple(risks)
