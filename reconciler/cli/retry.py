"""`orloj retry`: queue tasks again that did not succeed."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.decide import decide, ids_argument, show
from runner import decisions


@click.command()
@ids_argument
@json_option
@click.pass_obj
def command(context: Context, ids: tuple[str, ...], as_json: bool) -> None:
    """Queue failed, dead, cancelled or dropped tasks again; no finished step is repeated."""
    show(context, decide(context, ids, decisions.retry), as_json)
