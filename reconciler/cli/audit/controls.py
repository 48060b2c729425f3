"""`orloj audit controls`: which frameworks there are, and what answers for their controls."""

from pathlib import Path

import click

from reconciler.cli.context import Context, json_option
from reconciler.evidence import framework_files
from reconciler.views import controls as view
from reconciler.views import problems as problem_view


@click.command()
@click.argument("name", metavar="[FRAMEWORK]", required=False)
@click.option(
    "--controls",
    "own",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of your own frameworks, beside ours or in their place.",
)
@json_option
@click.pass_obj
def command(context: Context, name: str | None, own: Path | None, as_json: bool) -> int:
    """List the frameworks that an export can answer for, or the controls of one.

    Each is a file that was reviewed; its digest stands in every result. A mistake in a file
    of your own is told with its line, and ends with 1.
    """
    loaded = framework_files.load(own)
    if loaded.problems:
        context.show(problem_view.problem_list(loaded.problems))
        return 1
    if name is not None:
        found = loaded.named(name)
        if as_json:
            context.show_json(view.framework_json(found))
        else:
            context.show(view.framework_page(found))
    elif as_json:
        context.show_json([view.framework_json(one) for one in loaded.frameworks])
    else:
        context.show(view.framework_list(loaded.frameworks))
    return 0
