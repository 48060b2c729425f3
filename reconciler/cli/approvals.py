"""`orloj approvals`: what waits for a person, and exactly what one of them asks."""

import os
from pathlib import Path

import click

from reconciler.cli import approving
from reconciler.cli.context import Context, json_option
from reconciler.views import approvals as view
from runner.approval import rows as approval_rows
from runner.contract import clock


class ApprovalsGroup(click.Group):
    """`orloj approvals` is short for `orloj approvals list`, also with its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments with the command that goes without saying."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ApprovalsGroup)
def command() -> None:
    """List requests for approval, or show one."""


@command.command("list")
@click.option(
    "--all", "every", is_flag=True, help="Decided and expired ones too, newest first."
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many."
)
@json_option
@click.pass_obj
def list_requests(context: Context, every: bool, limit: int, as_json: bool) -> None:
    """List the requests that are open: not decided, or approved and not used yet."""
    with context.database.read() as connection:
        found = approval_rows.newest(connection, limit, every=every)
    now_us = clock.now_us()
    if as_json:
        context.show_json([view.record_json(record, now_us) for record in found])
    else:
        context.show(view.request_list(found, now_us))


@command.command("show")
@click.argument("approval_id", metavar="ID")
@click.option(
    "--payload",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the exact bytes that a signature is made over.",
)
@click.option("--manifest", is_flag=True, help="Print it as a ToolApproval manifest.")
@json_option
@click.pass_obj
def show_request(
    context: Context, approval_id: str, payload: Path | None, manifest: bool, as_json: bool
) -> None:
    """Show exactly what a request asks, and who may say yes to it."""
    asked = approving.found(context, approval_id)
    now_us = clock.now_us()
    if payload is not None:
        _write_new(payload, asked.record.raw)
        context.say(
            f"Next: ssh-keygen -Y sign -f KEY -n orloj-approval {payload}, then"
            f" orloj approve {asked.record.id} --signature {payload}.sig"
        )
        return
    if manifest:
        context.show(view.as_manifest(asked.request))
        return
    texts = approving.line_texts(context, asked.request)
    standings = approving.standings(context, asked)
    if as_json:
        context.show_json(view.request_json(asked.record, texts, standings, now_us))
    else:
        context.show(view.request_words(asked.record, texts, standings, now_us))


def _write_new(file: Path, raw: bytes) -> None:
    # Arguments may be personal: nobody else need read them, and nothing is overwritten.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(raw)
