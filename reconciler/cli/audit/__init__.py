"""`orloj audit`: read, verify and export the audit log; one module per command."""

from typing import Final

import click

from reconciler.cli.lazy import LazyGroup

COMMANDS: Final = {
    "checkpoint": "Sign the log as it stands now, and publish it.",
    "controls": "List the frameworks of controls, and what answers for each control.",
    "export": "Write a period out: as lines, or as a bundle that proves itself.",
    "key": "Show, list and rotate the keys that sign the log.",
    "log": "Show entries, oldest first.",
    "prove": "Write a file that proves one entry, or check one.",
    "verify": "Check every entry against its hash, its number and its place.",
    "witness": "Watch that a log only grows, and cosign its checkpoints.",
}


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Read, verify and export the audit log."""
