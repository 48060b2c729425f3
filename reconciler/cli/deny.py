"""`orloj deny`: say no to a call."""

import click

from reconciler.cli import approving
from reconciler.cli.context import Context, json_option
from runner.approval import decisions as approval_decisions
from runner.contract import clock


@click.command()
@click.argument("approval_id", metavar="ID")
@click.option("--reason", required=True, help="Why: the agent reads it, and so does the log.")
@click.option(
    "--changes", is_flag=True, help="Of a review: the agent does its work again, as you say."
)
@json_option
@click.pass_obj
def command(
    context: Context, approval_id: str, reason: str, changes: bool, as_json: bool
) -> None:
    """Say no to a call; also to one that was approved and has not begun.

    Any approver may, whoever wrote the rule. Your login on this host says who you are.
    """
    asked = approving.found(context, approval_id)
    proof = approving.by_login(context, asked)
    with context.database.write() as connection:
        decide = approval_decisions.request_changes if changes else approval_decisions.deny
        decided = decide(
            connection, asked.record.id, proof, reason=reason, now_us=clock.now_us()
        )
    approving.told(context, decided, as_json)
