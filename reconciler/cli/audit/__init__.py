"""`orloj audit`: read, verify and export the audit log; one module per command."""

from typing import Final

import click

from reconciler.cli.lazy import LazyGroup

COMMANDS: Final = {
    "archive": "Write old entries to a file that can be verified by itself.",
    "erase": "Erase what stands beside the log of a task, a person or a field.",
    "erasures": "List what was erased, on whose word and on what ground.",
    "hold": "Set, release and list legal holds.",
    "review": "Sign off a review of a period of the log.",
    "reviews": "List reviews, and the times without one.",
    "export": "Write entries to a file or to standard output.",
    "log": "Show entries, oldest first.",
    "verify": "Check every entry against its hash, its number and its place.",
}


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Read, verify and export the audit log."""
