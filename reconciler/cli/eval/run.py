"""`orloj eval run`: ask all samples of a dataset, and score the answers."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.eval import following
from reconciler.cli.parameters import Length
from reconciler.evaluation import rows
from reconciler.views import evaluations as view
from runner.contract import wake


@click.command()
@click.argument("name", metavar="EVALRUN")
@click.option("--commit", metavar="SHA", help="As this commit declares it; it is not applied.")
@following.source_option
@click.option("--detach", is_flag=True, help="Leave it to the daemon, and do not wait.")
@click.option("--timeout", type=Length(), help="Wait no longer than 30s, 5m; it goes on.")
@json_option
@click.pass_obj
def command(
    context: Context,
    name: str,
    *,
    commit: str | None,
    source: str,
    detach: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Ask an agent or a system all samples of a dataset, and score the answers.

    Exit code 0 when enough of the answers are right, 2 when they are not, 1 when it broke, was
    cancelled, or goes on.
    """
    following.refuse_without_runner(context, detach)
    at = None if commit is None else following.tree(context, source, commit)
    number = following.begin(context, following.key_of(name), at)
    if detach:
        context.database.knock(wake.DAEMON)
    else:
        following.follow(context, [number], timeout)
    with context.database.read() as connection:
        run = rows.find(connection, str(number))
        results = rows.results(connection, number)
    if as_json:
        context.show_json(view.run_json(run, results))
    else:
        context.show(view.run_page(run, results, wrong_only=True))
    context.say(view.following(run))
    return 0 if detach else following.CODES.get(run.state, 1)
