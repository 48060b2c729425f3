"""`orloj history`: what was applied and refused, by whom, and with which plan.

`orloj history` lists, `orloj history show ID` shows one with its plan, and `orloj history
RESOURCE` shows every change of one resource. `--json` prints what `views.history` documents.
"""

import click
from sqlalchemy import Connection

from reconciler import resource_name
from reconciler.cli.context import Context, json_option
from reconciler.history import history
from reconciler.history.plan import Record
from reconciler.views import history as view
from runner.contract import clock, errors
from runner.contract.kinds import Key


@click.command()
@click.argument("words", metavar="[RESOURCE | show ID]", nargs=-1)
@click.option("--source", help="Only of this repository.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many to show, the newest.",
)
@json_option
@click.pass_obj
def command(
    context: Context, words: tuple[str, ...], source: str | None, limit: int, as_json: bool
) -> int:
    """Show what was applied and refused, newest first; `show ID` with the plan of then.

    With a RESOURCE (`triage`, `agent/triage`, `agent/default/triage`), every change of it.
    """
    if len(words) == 2 and words[0] == "show":
        return _show(context, words[1], as_json)
    if len(words) > 1:
        raise click.UsageError("give one resource, or: show ID")
    if words and not words[0].isdecimal():
        return _resource(context, words[0], limit, as_json)
    if words:
        return _show(context, words[0], as_json)
    with context.database.read() as connection:
        found = history.records(connection, source=source, limit=limit)
    if as_json:
        context.show_json([view.record_json(record) for record in found])
    else:
        context.show(view.history_words(found, clock.now_us()))
    return 0


def _show(context: Context, number: str, as_json: bool) -> int:
    with context.database.read() as connection:
        found = history.record(connection, int(number)) if number.isdecimal() else None
        if found is None:
            raise errors.NotFound(f"the history has no {number!r}; orloj history lists it")
        changes = history.changes(connection, found.id)
    if as_json:
        context.show_json(view.shown_json(found, changes))
    else:
        context.show(view.record_words(found, changes))
    return 0


def _resource(context: Context, text: str, limit: int, as_json: bool) -> int:
    with context.database.read() as connection:
        key = _key(connection, text)
        changes = history.changes_of(connection, key, limit)
        numbers = {change.history for change in changes}
        found = {number: history.record(connection, number) for number in numbers}
    records: dict[int, Record] = {
        number: record for number, record in found.items() if record is not None
    }
    if as_json:
        context.show_json(
            [
                view.change_json(change, records[change.history])
                for change in changes
                if change.history in records
            ]
        )
    elif not changes:
        context.say(f"No plan that is kept changed {key}; orloj trace {key} knows its last.")
    else:
        context.show(view.resource_words(str(key), changes, records, clock.now_us()))
    return 0


def _key(connection: Connection, text: str) -> Key:
    """The resource of a name, also one that is gone."""
    ever = history.keys_ever(connection, text.rpartition("/")[2])
    gone = resource_name.matching(ever, text)
    if len(gone) == 1:
        return gone[0]
    return resource_name.resolve(connection, text)
