"""`orloj secret keys`: the sealing keys of this home. The private halves are never printed."""

import click
from rich.text import Text

from reconciler.cli.context import Context, json_option
from reconciler.views.table import table
from runner.contract import sealing


@click.command()
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List the sealing keys of this home, oldest first; the last one seals."""
    known = sealing.key_ids(context.settings.home)
    rows = [{"id": one, "seals": one == known[-1]} for one in known]
    if as_json:
        context.show_json(rows)
        return
    if not rows:
        context.say("No sealing key yet. Next: orloj secret rotate")
        return
    words = [(Text(one), Text("seals" if one == known[-1] else "opens")) for one in known]
    context.show(table(("ID", "DOES"), words))
