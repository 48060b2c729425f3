"""`orloj audit verify`: whether the log is what was written."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.views import audit as view
from runner.contract import audit_check


@click.command()
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> int:
    """Check every entry against its hash, its number and its place; 1 when one is bad."""
    with context.database.read() as connection:
        verdict = audit_check.verify(connection)
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
