"""`orloj mcp`: servers of the Model Context Protocol, and the tools they offer."""

from typing import Final

import click

from reconciler.cli.lazy import LazyGroup

COMMANDS: Final = {
    "pin": "Write what a server offers as Tools, to be reviewed and committed.",
}


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Pin the tools of MCP servers."""
