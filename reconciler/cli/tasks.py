"""`orloj tasks`: list tasks, newest first."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.views import tasks as view
from runner import tasks
from runner.task_record import STATES


@click.command()
@click.option("--state", type=click.Choice(STATES), help="Only tasks in this state.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@json_option
@click.pass_obj
def command(context: Context, state: str | None, limit: int, as_json: bool) -> None:
    """List tasks, newest first."""
    with context.database.read() as connection:
        found = tasks.newest(connection, state, limit)
    if as_json:
        context.show_json([view.task_json(task) for task in found])
    else:
        context.show(view.task_list(found))
