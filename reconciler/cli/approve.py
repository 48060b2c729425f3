"""`orloj approve`: say yes to exactly one call."""

from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli import approving
from reconciler.cli.context import Context, json_option
from runner.approval import decisions as approval_decisions
from runner.contract import clock

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("approval_id", metavar="ID")
@click.option("--sign", "key", type=_FILE, help="Sign with this SSH key, for ssh-keygen.")
@click.option("--signature", type=_FILE, help="A signature over what `show --payload` wrote.")
@click.option("--reason", help="Why, for the log.")
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    approval_id: str,
    key: Path | None,
    signature: Path | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Say yes to the call that a request shows: this one, once.

    Who you are is your login on this host, or an SSH signature by the key of an Approver.
    """
    approving.one_way(key, signature)
    asked = approving.found(context, approval_id)
    if key is None and signature is None:
        proof = approving.by_login(context, asked)
    else:
        proof = approving.by_signature(context, asked, key, signature)
    proof = replace(proof, authors=approving.authors(context, asked.request))
    with context.database.write() as connection:
        decided = approval_decisions.approve(
            connection, asked.record.id, proof, reason=reason, now_us=clock.now_us()
        )
    approving.told(context, decided, as_json)
