"""`orloj wait`: until tasks are over."""

from typing import Final

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.decide import ids_argument, over, settled
from reconciler.cli.parameters import Length
from reconciler.views import tasks as view
from runner import tasks

TIME_RAN_OUT: Final = 124  # As timeout(1) says it.


@click.command()
@ids_argument
@click.option("--timeout", type=Length(), help="Wait no longer than 30s, 5m; tasks go on.")
@json_option
@click.pass_obj
def command(
    context: Context, ids: tuple[str, ...], timeout: float | None, as_json: bool
) -> int:
    """Wait until every task is finished, or waits for a person.

    Exit code 0 when all succeeded, 1 when some did not, 124 when the time ran out.
    """
    with context.database.read() as connection:
        full = list(dict.fromkeys(tasks.resolve(connection, id) for id in ids))
    found = settled(context, full, timeout)
    if as_json:
        context.show_json([view.task_json(task) for task in found])
    else:
        context.show(view.task_list(found))
    if not all(over(task) for task in found):
        context.say("The time ran out; the tasks go on.")
        return TIME_RAN_OUT
    return 0 if all(task.state == "succeeded" for task in found) else 1
