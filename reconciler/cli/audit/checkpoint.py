"""`orloj audit checkpoint`: sign the log now, and publish what was signed."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.proof import checkpoints, keys, remote, troubles
from reconciler.proof.keeper import Keeper
from reconciler.proof.publisher import Publisher, Shown
from reconciler.proof.troubles import Part
from runner.contract import clock, errors


@click.command()
@click.option("--publish", is_flag=True, help="Push it to the remote as well.")
@click.option(
    "--anew",
    is_flag=True,
    help="With --publish: although the remote shows less than it once took.",
)
@json_option
@click.pass_obj
def command(context: Context, *, publish: bool, anew: bool, as_json: bool) -> None:
    """Sign the log as it stands now, and print the signed note.

    This home must have the log's key. Nothing is signed that does not go on from what was
    signed before, nor published where the remote holds something else of this log.
    """
    if anew and not publish:
        raise click.UsageError("--anew goes with --publish")
    settings, database = context.settings, context.database
    place = remote.place(settings)
    publisher = None if place is None else Publisher(settings, database, place)
    if publish and publisher is None:
        raise errors.Refused("there is nowhere to publish to: set audit.remote, or source.url")
    stored = _signed(context, publisher)
    shown = publisher.publish(anew=anew) if publish and publisher is not None else None
    if as_json:
        context.show_json(_json(stored, shown))
        return
    click.echo(stored.note, nl=False)
    if shown is not None:
        context.say(f"Published {shown.size} entries at {shown.where}.")
    context.say("Next: orloj audit verify")


def _signed(context: Context, publisher: Publisher | None) -> checkpoints.Stored:
    """The newest checkpoint, signed just now if there was something to sign."""
    database = context.database
    with database.read() as connection:
        known = keys.known(connection)
    against = publisher.remembered() if publisher is not None and known else None
    if against is not None:
        raise errors.AuditBroken(against.message)
    Keeper(context.settings, database, clock.now_us).step(at_once=True)
    with database.write() as connection:
        troubles.over(connection, Part.SIGNING, clock.now_us())
        stored = checkpoints.newest(connection)
    if stored is None:
        raise errors.Refused("the log has no entry yet: there is nothing to sign")
    return stored


def _json(stored: checkpoints.Stored, shown: Shown | None) -> dict[str, object]:
    return {
        "entries": stored.size,
        "signed_at": clock.iso(stored.signed_at),
        "note": stored.note,
        "published": None if shown is None else {"entries": shown.size, "remote": shown.where},
    }
