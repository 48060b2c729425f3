"""`orloj eval`: run, show and compare evaluations; one module per command."""

from typing import Final

import click

from reconciler.cli.lazy import LazyGroup

COMMANDS: Final = {
    "cancel": "Stop a run and its tasks.",
    "compare": "Say what got better or worse between two runs, or two commits.",
    "grade": "Say of an answer whether it is right.",
    "list": "List runs, newest first.",
    "run": "Ask an agent or a system all samples of a dataset, and score the answers.",
    "show": "Show a run, answer by answer.",
}


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def command() -> None:
    """Ask agents the samples of a dataset, and compare the scores."""
