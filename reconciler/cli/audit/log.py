"""`orloj audit log`: show entries."""

import click

from reconciler.cli.asking import noted
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Moment
from reconciler.views import audit as view
from runner import tasks
from runner.contract import audit


@click.command()
@click.option("--task", "task_id", metavar="ID", help="Only this task.")
@click.option("--agent", help="Only this agent.")
@click.option("--type", "type_prefix", help="Only types that begin so: `action.`")
@click.option("--decision", help="Only this decision: allow or deny.")
@click.option("--since", type=Moment(), help="From this time on, or from 2h or 7d ago.")
@click.option("--until", type=Moment(), help="Before this time.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="How many, counted from the newest.",
)
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    task_id: str | None,
    agent: str | None,
    type_prefix: str | None,
    decision: str | None,
    since: int | None,
    until: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show entries, oldest first. Times are UTC."""
    with context.database.read() as connection:
        if task_id is not None:
            task_id = tasks.resolve(connection, task_id)
        entries = [
            entry.fields
            for entry in audit.read(
                connection,
                task=task_id,
                agent=agent,
                type_prefix=type_prefix,
                decision=decision,
                since_us=since,
                until_us=until,
                newest=limit,
            )
        ]
    seqs = [entry["seq"] for entry in entries]
    shown = (min(seqs), max(seqs)) if seqs else None
    asked = {"task": task_id, "agent": agent, "type": type_prefix, "decision": decision}
    noted(context, "audit_log", asked | {"since": since, "until": until}, shown)
    if as_json:
        context.show_json(entries)
    else:
        context.show(view.entry_list(entries, with_task=task_id is None))
