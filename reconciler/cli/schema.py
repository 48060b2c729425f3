"""`orloj schema`: the JSON Schema of the manifests, for editors and other tools."""

from pathlib import Path

import click

from reconciler.cli.context import Context
from runner.contract.kinds import KINDS, schema


@click.command()
@click.argument("kind", required=False, type=click.Choice(sorted(KINDS), case_sensitive=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of printing.",
)
@click.pass_obj
def command(context: Context, kind: str | None, out: Path | None) -> None:
    """Print the JSON Schema of the manifests, of all kinds or of KIND."""
    text = schema.text(kind)
    if out is None:
        click.echo(text, nl=False)
        name = "orloj.schema.json"
    else:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
        name = str(out)
    context.say("Put this at the top of a manifest, and an editor checks it as you type:")
    context.say(schema.editor_line(name))
