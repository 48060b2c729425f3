"""`orloj audit archive`: old entries in a file of their own."""

from pathlib import Path

import click

from reconciler.cli.asking import actor
from reconciler.cli.context import Context
from reconciler.cli.parameters import Moment
from reconciler.privacy import archive
from runner.contract import clock, errors


@click.command()
@click.option("--before", type=Moment(), required=True, help="Entries before this time.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="New file."
)
@click.pass_obj
def command(context: Context, before: int, out: Path) -> None:
    """Write entries that stand in no archive yet to a file; they stay in the database."""
    with context.database.read() as connection:
        first, last = archive.next_first(connection), archive.last_before(connection, before)
        if last < first:
            raise errors.NotFound("there is no entry before that which is not archived yet")
        found = archive.write(connection, first, last, out)
    with context.database.write() as connection:
        archive.note(connection, found, out.name, actor(), clock.now_us())
    click.echo(
        f"Entries {found.first} to {found.last} are in {out}, root {found.root[:16]}…;"
        " they stay in the database."
    )
    context.say(f"Next: orloj audit verify --archive {out}")
