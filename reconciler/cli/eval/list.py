"""`orloj eval list`: the runs, newest first."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Pair
from reconciler.evaluation import record, rows
from reconciler.views import evaluations as view


@click.command()
@click.argument("name", metavar="[EVALRUN]", required=False)
@click.option("--label", "labels", type=Pair(), multiple=True, help="Only with this label.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many."
)
@json_option
@click.pass_obj
def command(
    context: Context,
    name: str | None,
    *,
    labels: tuple[tuple[str, str], ...],
    limit: int,
    as_json: bool,
) -> None:
    """List runs, newest first; only those of an EvalRun's name."""
    with context.database.read() as connection:
        found = [
            (run, record.summary(rows.results(connection, run.id)))
            for run in rows.newest(connection, name, limit)
            if all(run.spec.labels.get(label) == value for label, value in labels)
        ]
    if as_json:
        context.show_json([view.listed_json(run, summed) for run, summed in found])
    else:
        context.show(view.run_list(found))
