"""`orloj secret retire`: delete a key that no longer seals."""

import click

from reconciler.cli.context import Context
from runner.contract import sealing


@click.command()
@click.argument("key_id", metavar="KEY_ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(context: Context, key_id: str, yes: bool) -> int:
    """Delete the sealing key KEY_ID: what it sealed opens nowhere any more.

    Refused while something recorded was sealed with it.
    """
    with context.database.read() as connection:
        query = "SELECT namespace, name FROM resource WHERE kind = 'Secret' AND body LIKE ?"
        rows = connection.exec_driver_sql(query, (f'%"sealed:{key_id}:%',)).all()
    if rows:
        names = ", ".join(sorted(f"{namespace}/{name}" for namespace, name in rows))
        raise click.ClickException(
            f"{key_id} still opens {names}; seal them again first: orloj secret reseal FILE"
        )
    question = f"Delete the sealing key {key_id}? What it sealed cannot be opened again."
    if not yes and not context.confirmed(question, "retire", "deleted"):
        return 1
    sealing.retire(context.settings.home, key_id)
    click.echo(f"{key_id} is deleted.")
    return 0
