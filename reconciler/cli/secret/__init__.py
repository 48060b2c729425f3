"""`orloj secret`: values that may stand in Git; one module per command."""

from typing import Final

import click

from reconciler.cli.lazy import LazyGroup

COMMANDS: Final = {
    "keys": "List the sealing keys of this home.",
    "public-key": "Print the key that others seal with for this home.",
    "reseal": "Seal what SealedSecrets hold anew, with the key of today.",
    "retire": "Delete a sealing key that no longer seals.",
    "rotate": "Make the key that seals from now on.",
    "seal": "Write a SealedSecret, which may stand in Git.",
}


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Seal values so that they may stand in Git, and keep their keys."""
