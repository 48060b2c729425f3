"""`orloj resume`: let suspended repositories go on.

Exit codes: 0 they go on (also those that were not suspended), 1 error. `--json` prints
`{looking, sources[]{name, resumed}}`; `looking` says whether a daemon looks now.
"""

import click

from reconciler.cli import asking
from reconciler.cli.context import Context, json_option
from reconciler.hold import Holder
from runner.contract import clock, wake


@click.command()
@click.argument("names", metavar="[SOURCE]...", nargs=-1)
@click.option("--reason", default="", help="Why, for the log.")
@json_option
@click.pass_obj
def command(context: Context, names: tuple[str, ...], *, reason: str, as_json: bool) -> None:
    """Let suspended repositories go on: the daemon looks at once.

    SOURCE is the name of a repository in the settings; none means all of them.
    """
    rows = []
    chosen = asking.chosen(context, names)
    for name in chosen:
        source = context.settings.followed[name]
        holder = Holder(name, source, context.database, asking.actor())
        resumed = holder.resume(reason.strip(), clock.now_us())
        rows.append({"name": name, "resumed": resumed})
        if not as_json:
            said = f"Resumed {name}." if resumed else f"{name} was not suspended."
            click.echo(said)
    asking.request(context, chosen)
    looking = context.database.knock(wake.DAEMON)
    if as_json:
        context.show_json({"looking": bool(looking), "sources": rows})
    elif looking:
        context.say("The daemon is looking. Next: orloj status")
    else:
        context.say("No daemon runs, so nothing was looked at. Next: orloj reconcile")
