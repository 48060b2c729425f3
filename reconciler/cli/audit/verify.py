"""`orloj audit verify`: whether the log is what was written."""

from pathlib import Path

import click

from reconciler.cli.context import Context, json_option
from reconciler.privacy import archive
from reconciler.views import audit as view
from runner.contract import audit


@click.command()
@click.option(
    "--archive",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Check an archive instead, also against the database's own entries.",
)
@json_option
@click.pass_obj
def command(context: Context, file: Path | None, as_json: bool) -> int:
    """Check every entry against its hash, its number and its place; 1 when one is bad."""
    if file is not None:
        return _archive(context, file, as_json)
    with context.database.read() as connection:
        verdict = audit.verify(connection)
    if as_json:
        context.show_json(
            {
                "holds": verdict.holds,
                "entries": verdict.entries,
                "head": verdict.head,
                "bad_seq": verdict.bad_seq,
                "problem": verdict.problem,
            }
        )
    else:
        context.show(
            view.verdict(verdict.entries, verdict.head, verdict.bad_seq, verdict.problem)
        )
    return 0 if verdict.holds else 1


def _archive(context: Context, file: Path, as_json: bool) -> int:
    """Whether an archive is whole, and is of this log as it stands."""
    found = archive.read(file)
    with context.database.read() as connection:
        same = archive.matches(connection, found)
    if as_json:
        fields = ("log", "first", "last", "root", "digest")
        context.show_json({name: getattr(found, name) for name in fields} | {"same": same})
    else:
        said = "as in the database" if same else "NOT as in the database"
        click.echo(
            f"{file}: entries {found.first} to {found.last} of {found.log} are whole,"
            f" root {found.root}, and {said}"
        )
    return 0 if same else 1
