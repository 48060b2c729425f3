"""`orloj events`: what happened to repositories and resources; -f goes on.

`--json` prints `{id, source, severity, reason, message, commit, resource, count, first_at,
last_at}`, one object a line; with -f an event that was counted again comes again, with the
same id and its new count.
"""

import json
import time
from collections.abc import Iterable
from typing import Final

import click

from reconciler import resource_name
from reconciler.cli.context import Context, json_option
from reconciler.event.events import EVENTS_MAX, EventRecord, EventSeverity
from reconciler.event.stream import Stream, Wanted
from reconciler.views import events as view
from reconciler.views.plain import plain_json
from runner.contract import clock, errors

LOOK_EVERY_S: Final = 0.4


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--source", help="Only of this repository.")
@click.option("--for", "resource", metavar="RESOURCE", help="Only of this resource.")
@click.option(
    "--severity",
    type=click.Choice([severity.value for severity in EventSeverity]),
    default=EventSeverity.INFO.value,
    help="Only these and worse.",
)
@click.option(
    "--limit",
    type=click.IntRange(0, EVENTS_MAX),
    default=50,
    show_default=True,
    help="How many events to look back on.",
)
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    follow: bool,
    source: str | None,
    resource: str | None,
    severity: str,
    limit: int,
    as_json: bool,
) -> int:
    """Show what happened, oldest first; one that repeats is shown once, with how often."""
    wanted = Wanted(
        source=source,
        resource=None if resource is None else _resource(context, resource),
        severity=EventSeverity(severity),
    )
    stream = Stream()
    with context.database.connect() as held:
        with context.database.reading(held):
            first = stream.begin(held, EVENTS_MAX, clock.now_us())
        chosen = [record for record in first if wanted.fits(record)]
        _print(context, chosen[len(chosen) - min(limit, len(chosen)) :], as_json)
        if not chosen and not follow and not as_json:
            context.say("No such event. Next: orloj status, or orloj events -f")
        while follow:
            time.sleep(LOOK_EVERY_S)
            with context.database.reading(held):
                more = stream.more(held, clock.now_us())
            _print(context, filter(wanted.fits, more), as_json)
    return 0


def _resource(context: Context, text: str) -> str:
    """The key of a resource; a name that nothing has may be of one that is gone."""
    with context.database.read() as connection:
        try:
            return str(resource_name.resolve(connection, text))
        except errors.NotFound:
            if text.count("/") == 2 or text.startswith("source/"):
                return text
            raise


def _print(context: Context, records: Iterable[EventRecord], as_json: bool) -> None:
    for record in records:
        if as_json:
            line = json.dumps(view.event_json(record), ensure_ascii=False)
            click.echo(plain_json(line))
        else:
            context.show(view.event_line(record))
