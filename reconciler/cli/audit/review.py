"""`orloj audit review`: sign off a review of a period of the log."""

from pathlib import Path
from typing import cast

import click

from reconciler.cli.asking import actor
from reconciler.cli.context import Context
from reconciler.cli.parameters import Moment
from reconciler.privacy import reviews
from runner.approval import signature as approval_signature
from runner.contract import clock, settings


@click.command()
@click.option("--from", "since", type=Moment(), required=True, help="From this time on.")
@click.option("--to", "until", type=Moment(), help="Before this time. Default: now.")
@click.option(
    "--outcome",
    type=click.Choice(["ok", "findings"]),
    required=True,
    help="What came of it.",
)
@click.option("--note", default="", help="What was looked at and found.")
@click.option("--sign", "key", type=click.Path(path_type=Path), help="An SSH key to sign with.")
@click.pass_obj
def command(
    context: Context,
    *,
    since: int,
    until: int | None,
    outcome: str,
    note: str,
    key: Path | None,
) -> None:
    """Write down that you reviewed a period, bound to the log as it is now."""
    now_us = clock.now_us()
    with context.database.read() as connection:
        statement = reviews.stated(
            connection,
            (since, until or now_us),
            cast("reviews.Outcome", outcome),
            settings.person(),
            note,
        )
    signed = None
    if key is not None:
        namespace = reviews.SIGNATURE_NAMESPACE
        signed = approval_signature.sign(statement.raw, key, namespace)
    with context.database.write() as connection:
        seq = reviews.add(connection, statement, actor(), signed, now_us)
    click.echo(
        f"Reviewed {clock.iso(since)} to {clock.iso(until or now_us)}: {outcome};"
        f" entry {seq}, over {statement.size} entries with the root {statement.root[:16]}…"
    )
    context.say("Next: orloj audit reviews --every 1d")
