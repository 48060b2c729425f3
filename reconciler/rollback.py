"""Go back to an earlier commit: by a plan that is shown, and a new commit on the branch.

    commit ──> plan against what is applied ──yes──> new commit on head ──push──> the branch
                                                                          └──> normal pass

The recorded state is not touched here. The branch only ever moves forward.
"""

from dataclasses import dataclass
from pathlib import Path

from reconciler import reversal
from reconciler.change import Plan
from reconciler.git import way_back
from reconciler.git.way_back import Person, Pushed
from reconciler.problem import Problem
from reconciler.reconcile import Reconciler
from runner.contract import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What going back would do. `tree` is what the branch would hold, `same` that it does.

    `back` counts the commits that what is applied has on top; None where it has others.
    """

    head: str
    commit: str
    tree: str
    same: bool
    plan: Plan
    risks: tuple[Problem, ...]
    back: int | None


def prepare(reconciler: Reconciler, commit: str, applied: str | None, now_us: int) -> Rollback:
    """What going back to a commit, or the beginning of its hash, would do; SourceError."""
    place = reconciler.place
    git, folder = place.git, place.settings.path.strip("/")
    ref = place.ref if place.ref.startswith("refs/") else f"refs/heads/{place.ref}"
    if not ref.startswith("refs/heads/") or place.settings.semver or place.settings.commit:
        raise errors.Refused(
            f"the repository {place.source} does not follow a branch, so there is none to"
            " write a commit on; set source.ref, or source.commit, to what should run"
        )
    head = git.resolve()
    git.fetch(head)
    found = git.named(commit)
    tree = way_back.tree_of(git, head, found, folder)
    planned, risks = reversal.plan_back(place, applied, found, now_us)
    return Rollback(
        head=head,
        commit=found,
        tree=tree,
        same=tree == way_back.tree_of(git, head, head, ""),
        plan=planned,
        risks=risks,
        back=reconciler.ahead(applied, found) if applied else None,
    )


def write(reconciler: Reconciler, wanted: Rollback, person: Person) -> str:
    """The new commit, in the mirror."""
    git = reconciler.place.git
    subject = git.commit_info(wanted.commit).subject
    message = (
        f"Roll back to {wanted.commit[:12]}\n\n"
        f"What orloj applies is again what it was at {wanted.commit}:\n{subject}\n"
    )
    return way_back.written(git, wanted.tree, wanted.head, message, person)


def push(reconciler: Reconciler, wanted: Rollback, made: str, worktree: Path | None) -> Pushed:
    """Move the branch, at the repository itself or in a person's clone of it."""
    url = None if worktree is None else str(worktree.absolute())
    return way_back.pushed(reconciler.place.git, made, wanted.head, url)


def by_hand(reconciler: Reconciler, wanted: Rollback) -> str:
    """The commands that do the same, for a person with rights of their own."""
    place = reconciler.place
    branch = place.ref.removeprefix("refs/heads/")
    folder = place.settings.path.strip("/") or "."
    return (
        f"  git switch {branch} && git pull --ff-only\n"
        f"  git restore --source={wanted.commit} --staged --worktree -- {folder}\n"
        f"  git commit -m 'Roll back to {wanted.commit[:12]}' && git push origin {branch}"
    )
