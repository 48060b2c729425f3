"""`orloj worker`: run the dispatcher and its worker processes."""

import click

from reconciler.cli.context import Context
from runner import pool


@click.command()
@click.pass_obj
def command(context: Context) -> int:
    """Run tasks until stopped. SIGTERM lets running tasks finish or gives them back."""
    return pool.main(context.settings)
