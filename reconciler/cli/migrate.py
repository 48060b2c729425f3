"""`orloj migrate`: bring the database to the schema of this program."""

import click

from reconciler.cli.context import Context, json_option
from runner.contract import database


@click.command()
@click.option(
    "--check", is_flag=True, help="Change nothing; exit 2 if there is something to do."
)
@json_option
@click.pass_obj
def command(context: Context, check: bool, as_json: bool) -> int:
    """Bring the database to the schema of this program, all of it or nothing.

    A SQLite file is migrated by whoever opens it. A PostgreSQL server, which many hosts use,
    is migrated by this command once, before they run the newer program.
    """
    newest = len(database.migrations())
    url = context.settings.database.url.get_secret_value()
    handle = database.connect(context.settings.home, url)
    try:
        if check:
            with handle.read() as connection:
                before = after = handle.version(connection)
        else:
            before, after = database.migrate(handle)
    finally:
        handle.close()
    if as_json:
        facts = {"database": handle.name, "before": before, "after": after, "newest": newest}
        context.show_json(facts)
    elif after < newest:
        context.say(f"{handle.name} has schema {before} of {newest}. Next: orloj migrate")
    elif before < after:
        context.say(f"{handle.name}: schema {before} -> {after}. Next: orloj status")
    else:
        context.say(f"{handle.name} has schema {newest}, the newest. Nothing to do.")
    return 2 if after < newest else 0
