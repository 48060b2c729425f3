"""Make a plan in which what goes on under another name is one change: asks git if it must.

Git is asked only where something was deleted and something of its kind created, so that a
plan without such a pair costs what it did.
"""

from dataclasses import replace

from sqlalchemy import Connection

from reconciler import moves, plan, recorded
from reconciler.change import Action, Plan
from reconciler.git.source import GitSource
from reconciler.plan import PlanRequest
from reconciler.problem import Problem


def planned(
    connection: Connection, git: GitSource, request: PlanRequest
) -> tuple[Plan, list[Problem]]:
    """The plan, and what is wrong with annotations that say where something was before."""
    made = plan.plan(request)
    target = request.target
    if target.previous_commit and target.commit and moves.undecided(made.changes):
        renames = git.renames(target.previous_commit, target.commit)
        if renames:
            made = plan.plan(replace(request, renames=renames))
    named = {
        mention.target
        for change in made.changes
        if change.action in (Action.CREATE, Action.MOVE) and change.after is not None
        for mention in change.after.moved_from
    }
    if not named:
        return made, []
    standing = recorded.resources_with(connection, named)
    return made, moves.mistakes(made.changes, request.desired, standing)
