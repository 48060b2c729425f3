"""`orloj cancel`: stop tasks, wherever they are."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.decide import decide, ids_argument, show
from runner import decisions


@click.command()
@ids_argument
@json_option
@click.pass_obj
def command(context: Context, ids: tuple[str, ...], as_json: bool) -> None:
    """Stop tasks that are not finished; a running one is cut off within a second."""
    show(context, decide(context, ids, decisions.cancel), as_json)
