"""`orloj audit`: read, verify and export the audit log; one module per command."""

from typing import Final

import click

from reconciler.cli.lazy import LazyGroup

COMMANDS: Final = {
    "archive": "Write old entries to a file that can be verified by itself.",
    "checkpoint": "Sign the log as it stands now, and publish it.",
    "controls": "List the frameworks of controls, and what answers for each control.",
    "erase": "Erase what stands beside the log of a task, a person or a field.",
    "erasures": "List what was erased, on whose word and on what ground.",
    "export": "Write a period out: as lines, or as a bundle that proves itself.",
    "hold": "Set, release and list legal holds.",
    "key": "Show, list and rotate the keys that sign the log.",
    "log": "Show entries, oldest first.",
    "prove": "Write a file that proves one entry, or check one.",
    "verify": "Check every entry against its hash, its number and its place.",
    "witness": "Watch that a log only grows, and cosign its checkpoints.",
}


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Read, verify and export the audit log."""
