"""`orloj audit key`: the keys that sign checkpoints. The private one is never printed."""

import click
from rich.text import Text

from reconciler.cli.context import Context, json_option
from reconciler.proof import beside, keys
from reconciler.views.table import table
from reconciler.views.times import iso, moment
from runner.contract import clock, errors, settings


@click.group()
def command() -> None:
    """Show, list and rotate the keys that sign the log."""


@command.command("show")
@click.option("--ml-dsa", is_flag=True, help="The key of the ML-DSA-44 signature instead.")
@json_option
@click.pass_obj
def show(context: Context, ml_dsa: bool, as_json: bool) -> None:
    """Print the public key of today: what others check checkpoints with."""
    one = _known(context)[-1]
    if ml_dsa:
        second = beside.signing(context.settings, one.key.name)
        if second is None:
            raise errors.NotFound("audit.ml_dsa is off: nothing is signed with ML-DSA-44 here")
        click.echo(str(second.verifier))
        return
    file = keys.path(context.settings)
    here = file.exists()
    if as_json:
        context.show_json(_json(one) | {"file": str(file) if here else None})
        return
    click.echo(str(one.key))
    place = f"Its private half is in {file}." if here else "Its private half is not here."
    context.say(f"{place}\nNext: orloj audit key list")


@command.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List every key that signed this log, first to last; each is signed for by the last."""
    known = _known(context)
    if as_json:
        context.show_json([_json(one) for one in known])
        return
    rows = [
        (str(one.number), one.key.key_id.hex(), moment(one.signed_at), Text(str(one.key)))
        for one in known
    ]
    context.show(table(("NUMBER", "ID", "SINCE", "KEY"), rows))


@command.command("rotate")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def rotate(context: Context, yes: bool, as_json: bool) -> int:
    """Let a new key sign from here on; the old one signs for it, and is removed here."""
    database, actor = context.database, f"person:{settings.person()}"
    old = _known(context)[-1]
    question = f"Let a new key take over from {old.key.key_id.hex()}?"
    if not yes and not context.confirmed(question, "rotate", "rotated"):
        return 1
    with database.write() as connection:
        new = keys.rotate(context.settings, connection, actor, clock.now_us())
    keys.finish(context.settings)
    if as_json:
        context.show_json(_json(_known(context)[-1]))
        return 0
    click.echo(str(new))
    context.say(
        f"{new.key_id.hex()} signs from now on; {old.key.key_id.hex()} signed for it."
        f"\nKeep a copy of {keys.path(context.settings)} where only you can read it."
        "\nNext: orloj audit checkpoint --publish"
    )
    return 0


def _known(context: Context) -> list[keys.KnownKey]:
    with context.database.read() as connection:
        known = keys.known(connection)
    if not known:
        raise errors.Refused("no key has signed this log yet: the daemon makes one (orloj up)")
    return known


def _json(one: keys.KnownKey) -> dict[str, object]:
    return {
        "number": one.number,
        "id": one.key.key_id.hex(),
        "vkey": str(one.key),
        "signed_at": iso(one.signed_at),
        "note": str(one.note),
    }
