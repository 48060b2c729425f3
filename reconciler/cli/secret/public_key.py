"""`orloj secret public-key`: what others seal with for this home."""

import click

from reconciler.cli.context import Context, json_option
from runner.contract import sealing


@click.command()
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """Print the key that others seal with for this home; anybody may have it."""
    key = sealing.current(context.settings.home)
    if as_json:
        context.show_json(
            {"keyId": key.id, "algorithm": sealing.ALGORITHM, "publicKeyPEM": key.pem}
        )
        return
    click.echo(key.pem, nl=False)
    context.say("Next: orloj secret seal NAME --key FILE --from-stdin ENTRY")
