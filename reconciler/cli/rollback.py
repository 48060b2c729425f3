"""`orloj rollback`: go back to an earlier commit, by a new commit on the branch.

Exit codes: 0 done, 1 error or not confirmed, 3 blocked. `--json` prints `{commit, head,
written, pushed, plan}` and asks nothing: without `--yes` it only plans.
"""

import socket
from pathlib import Path

import click

from reconciler import recorded, rollback
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import source_option
from reconciler.cli.plan import BLOCKED
from reconciler.git import way_back
from reconciler.git.watch import watchable
from reconciler.git.way_back import Person, Pushed
from reconciler.plan import explain
from reconciler.reconcile import Reconciler
from reconciler.rollback import Rollback
from reconciler.views.plain import plain
from reconciler.views.plan import plan_words
from reconciler.views.plan_json import plan_json
from reconciler.views.plan_line import Telling
from reconciler.views.problems import problem_list
from runner.contract import clock, errors, settings


@click.command()
@click.argument("commit")
@source_option
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="CLONE",
    help="Write the commit into this clone of the repository instead, for you to push.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def command(
    context: Context,
    commit: str,
    *,
    source: str,
    repository: Path | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Show what going back to COMMIT would do, ask, and write a commit that does it.

    The branch gets one new commit on top; no history is rewritten. The daemon applies it as
    any other.
    """
    reconciler = Reconciler(context.settings, context.database, source)
    with context.database.read() as connection:
        state = recorded.source(connection, source)
    applied = state.applied_commit if state else None
    wanted = rollback.prepare(reconciler, commit, applied, clock.now_us())
    if as_json and not yes:
        context.show_json(_json(wanted, None, pushed=False))
        return BLOCKED if wanted.plan.blocked else 0
    if not as_json:
        _show(context, wanted)
    if wanted.plan.blocked or wanted.same:
        return _nothing(context, wanted)
    question = f"Write a commit that goes back to {wanted.commit[:12]}?"
    if not yes and not context.confirmed(question, "roll back", "written"):
        return 1
    made = rollback.write(reconciler, wanted, _person(context, reconciler, source))
    done = rollback.push(reconciler, wanted, made, repository)
    if as_json:
        context.show_json(_json(wanted, made, pushed=done.done))
        return 0 if done.done else 1
    if not done.done:
        return _not_pushed(context, reconciler, wanted, done)
    _pushed(reconciler, made, repository)
    return 0


def _show(context: Context, wanted: Rollback) -> None:
    context.say(f"Going back to {wanted.commit[:12]} from what is applied would be:\n")
    telling = Telling(back=wanted.back)
    context.show(plan_words(explain(wanted.plan), telling=telling))
    if wanted.risks:
        context.show(problem_list(wanted.risks))


def _nothing(context: Context, wanted: Rollback) -> int:
    if wanted.plan.blocked:
        return BLOCKED
    context.say(f"The branch already holds what {wanted.commit[:12]} held.")
    return 0


def _pushed(reconciler: Reconciler, made: str, repository: Path | None) -> None:
    where, following = f"on {reconciler.place.ref}", "orloj reconcile --wait"
    if repository is not None:
        where = f"into {plain(str(repository))}"
        following = f"git -C {plain(str(repository))} push"
    click.echo(f"Wrote commit {made[:12]} {where}. Next: {following}")


def _not_pushed(
    context: Context, reconciler: Reconciler, wanted: Rollback, done: Pushed
) -> int:
    """Say why, and what somebody with rights of their own would type; the exit code."""
    place = reconciler.place
    if done.moved:
        raise errors.PlanStale(
            f"{place.ref} moved meanwhile and nothing was written to it; look at what came,"
            f" and run orloj rollback {wanted.commit[:12]} again"
        )
    context.say(f"The commit cannot be pushed from here: {done.words}\nPush it yourself:")
    click.echo(rollback.by_hand(reconciler, wanted))
    return 1


def _person(context: Context, reconciler: Reconciler, source: str) -> Person:
    """Who the commit is by: as git knows them, or as this machine does."""
    local = watchable(context.settings.followed[source].url)
    home = Path.home()
    files = [home / ".config/git/config", home / ".gitconfig"]
    if local is not None:
        files += [local / ".git/config", local / "config"]
    name, mail = way_back.person_of(reconciler.place.git, files)
    login = settings.person()
    return Person(name or login, mail or f"{login}@{socket.gethostname()}")


def _json(wanted: Rollback, made: str | None, *, pushed: bool) -> dict[str, object]:
    return {
        "commit": wanted.commit,
        "head": wanted.head,
        "written": made,
        "pushed": pushed,
        "plan": plan_json(explain(wanted.plan)),
    }
