"""`orloj eval show`: a run, answer by answer."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.evaluation import rows
from reconciler.views import evaluations as view


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--wrong", is_flag=True, help="Only the answers that did not pass.")
@json_option
@click.pass_obj
def command(context: Context, run: str, wrong: bool, as_json: bool) -> None:
    """Show a run, given by its number or as the newest of an EvalRun's name."""
    with context.database.read() as connection:
        found = rows.find(connection, run)
        results = rows.results(connection, found.id)
        outputs = {
            task: asked.output
            for task, asked in rows.asked(connection, [one.task for one in results]).items()
        }
    if as_json:
        context.show_json(view.run_json(found, results, outputs))
        return
    context.show(view.run_page(found, results, wrong_only=wrong))
    context.say(view.following(found))
