"""`orloj task`: one task with its attempts, steps and result."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.views import tasks as view
from runner import tasks


@click.command()
@click.argument("task_id", metavar="ID")
@json_option
@click.pass_obj
def command(context: Context, task_id: str, as_json: bool) -> None:
    """Show one task. A unique beginning of its ID is enough."""
    with context.database.read() as connection:
        account = tasks.account(connection, tasks.resolve(connection, task_id))
    if as_json:
        context.show_json(view.account_json(account))
    else:
        context.show(view.task_account(account))
