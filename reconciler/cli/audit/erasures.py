"""`orloj audit erasures`: the register of what was erased."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.privacy import register
from reconciler.views import privacy as view


@click.command()
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List what was erased, on whose word and on what ground, oldest first."""
    with context.database.read() as connection:
        found = register.listed(connection)
    if as_json:
        context.show_json([view.erasure_json(one) for one in found])
    else:
        context.show(view.erasure_list(found))
