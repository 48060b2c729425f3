"""`orloj secret rotate`: a new key seals from now on."""

import click

from reconciler.cli.context import Context, json_option
from runner.contract import sealing


@click.command()
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """Make the key that seals from now on; what older keys sealed opens as before."""
    home = context.settings.home
    key = sealing.rotate(home)
    if as_json:
        context.show_json({"id": key.id})
        return
    click.echo(f"{key.id} seals from now on.")
    context.say(
        f"Keep a copy of {home / sealing.FOLDER} where only you can read it, and one in the"
        " home of every host that runs these tasks.\nNext: orloj secret reseal FILE"
    )
