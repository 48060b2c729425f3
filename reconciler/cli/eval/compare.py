"""`orloj eval compare`: what got better or worse between two runs, or two commits."""

from typing import Final

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.eval import following
from reconciler.cli.parameters import Length
from reconciler.evaluation import beginning, comparison, rows
from reconciler.evaluation.record import OPEN
from reconciler.views import evaluations as view
from runner.contract import errors

REGRESSION: Final = 2


@click.command()
@click.argument("runs", metavar="[BEFORE AFTER]", nargs=-1)
@click.option("--commits", nargs=2, metavar="OLD NEW", help="Run both commits, and compare.")
@click.option("--run", "name", metavar="EVALRUN", help="What to run, with --commits.")
@following.source_option
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="How much of the pass rate may be lost before the exit code is 2.",
)
@click.option("--timeout", type=Length(), help="With --commits, wait no longer than 5m.")
@json_option
@click.pass_obj
def command(
    context: Context,
    runs: tuple[str, ...],
    *,
    commits: tuple[str, str] | None,
    name: str | None,
    source: str,
    max_drop: float,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Say what got better or worse between two runs, or two commits.

    Exit code 0 when the pass rate held, 2 when it dropped by more than --max-drop.
    """
    if commits is not None and name is not None and not runs:
        runs = _run_both(context, name, commits, source, timeout)
    elif commits is not None or name is not None or len(runs) != 2:
        raise errors.Refused(
            "compare takes two runs, or --commits OLD NEW with --run EVALRUN; `orloj eval list`"
            " lists runs"
        )
    with context.database.read() as connection:
        before, after = (rows.find(connection, one) for one in runs)
        for run in (before, after):
            if run.state in OPEN:
                raise errors.Refused(
                    f"run {run.id} is {run.state.value}; its answers are not all scored. See"
                    f" orloj eval show {run.id}"
                )
        found = comparison.compare(
            rows.results(connection, before.id), rows.results(connection, after.id)
        )
    if as_json:
        context.show_json(view.comparison_json(before, after, found, max_drop))
    else:
        context.show(view.comparison_page(before, after, found))
        context.say(f"Look closer: orloj eval show {after.id} --wrong")
    return REGRESSION if found.drop > max_drop + 1e-9 else 0


def _run_both(
    context: Context, name: str, commits: tuple[str, str], source: str, timeout: float | None
) -> tuple[str, ...]:
    """Ask both commits the same questions: those of the newer one, else those applied."""
    following.refuse_without_runner(context, detach=False)
    key = following.key_of(name)
    old, new = (following.tree(context, source, commit) for commit in commits)
    exam = new.exam(key)
    if exam is None:
        with context.database.read() as connection:
            exam = beginning.recorded_exam(connection, key)
    numbers = [following.begin(context, key, tree, exam) for tree in (old, new)]
    following.follow(context, numbers, timeout)
    return tuple(map(str, numbers))
