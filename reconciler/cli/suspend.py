"""`orloj suspend`: stop applying repositories until they are resumed.

Exit codes: 0 they are suspended, 1 error. `--json` prints `{sources[]{name, suspended, by,
reason, at, commit}}`.
"""

import click

from reconciler.cli import asking
from reconciler.cli.context import Context, json_option
from reconciler.hold import Holder
from reconciler.views.plain import plain
from reconciler.views.times import iso
from runner.contract import clock, wake


@click.command()
@click.argument("names", metavar="[SOURCE]...", nargs=-1)
@click.option("--reason", default="", help="Why, for the log and for whoever reads the status.")
@json_option
@click.pass_obj
def command(context: Context, names: tuple[str, ...], *, reason: str, as_json: bool) -> None:
    """Stop applying repositories: what is applied stays, and orloj plan still answers.

    SOURCE is the name of a repository in the settings; none means all of them.
    """
    rows = []
    chosen = asking.chosen(context, names)
    for name in chosen:
        source = context.settings.followed[name]
        holder = Holder(name, source, context.database, asking.actor())
        standing = holder.suspend(reason.strip(), clock.now_us())
        rows.append(
            {
                "name": name,
                "suspended": True,
                "by": standing.suspended_by,
                "reason": standing.suspended_reason,
                "at": iso(standing.suspended_at),
            }
        )
        if not as_json:
            why = f" ({plain(reason.strip())})" if reason.strip() else ""
            click.echo(f"Suspended {name}{why}. What is applied stays; nothing new is.")
    asking.request(context, chosen)
    context.database.knock(wake.DAEMON)
    if as_json:
        context.show_json({"sources": rows})
    else:
        again = " ".join(("orloj resume", *names))
        context.say(f"Next: {again}; until then orloj plan shows what waits")
