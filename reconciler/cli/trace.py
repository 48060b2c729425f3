"""`orloj trace`: from a resource back to its line, its commit, its people and its apply.

`--json` prints what `views.trace` documents; a step that nobody recorded is null.
"""

import click

from reconciler import resource_name
from reconciler.cli.context import Context, json_option
from reconciler.history import trace
from reconciler.views import trace as view
from runner.contract import clock


@click.command()
@click.argument("resource")
@json_option
@click.pass_obj
def command(context: Context, resource: str, as_json: bool) -> int:
    """Say where a resource comes from: file, line, commit, author, plan, apply, log entry.

    RESOURCE is `triage`, `agent/triage` or `agent/default/triage`.
    """
    with context.database.read() as connection:
        key = resource_name.resolve(connection, resource)
        found = trace.trace(connection, context.settings, key)
    if as_json:
        context.show_json(view.trace_json(found))
    else:
        context.show(view.trace_words(found, clock.now_us()))
    return 0
