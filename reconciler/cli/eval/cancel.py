"""`orloj eval cancel`: stop a run and its tasks."""

import click

from reconciler.cli.context import Context
from reconciler.evaluation import driving, rows
from reconciler.resource import person_owner
from runner import decisions, evaluation_set
from runner.contract import clock, errors, settings


@click.command()
@click.argument("run", metavar="RUN")
@click.pass_obj
def command(context: Context, run: str) -> None:
    """Stop a run and its tasks. What was scored stays."""
    person = person_owner(settings.person())
    with context.database.write() as connection:
        found = rows.locked(connection, rows.find(connection, run).id)
        if not found.open:
            raise errors.Refused(f"run {found.id} is {found.state.value} already")
        driving.stop(connection, found, f"cancelled by {person}", clock.now_us())
    driving.step(
        context.database, found, evaluation_set.pinned, decisions.cancel, now_us=clock.now_us()
    )
    context.say(f"Run {found.id} is cancelled. See what it had: orloj eval show {found.id}")
