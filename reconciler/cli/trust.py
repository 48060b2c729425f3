"""`orloj trust`: show how the commits are signed that a pass would follow; apply nothing.

Exit codes: 0 the commit may be followed, 1 error, 3 it may not. `--json` prints what
`views.trust` documents.
"""

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import source_option
from reconciler.reconcile import Reconciler
from reconciler.views.trust import trust_json, trust_words

BLOCKED = 3


@click.command()
@click.argument("commit", metavar="[COMMIT]", required=False)
@click.option("--whole", is_flag=True, help="From the first commit on, not the applied one.")
@source_option
@json_option
@click.pass_obj
def command(
    context: Context, commit: str | None, *, whole: bool, source: str, as_json: bool
) -> int:
    """Show who signed the commits that COMMIT brings, or the one that the ref names now."""
    reconciler = Reconciler(context.settings, context.database, source)
    found = reconciler.inspect(commit, whole=whole)
    if as_json:
        context.show_json(trust_json(found))
    else:
        context.show(trust_words(found))
        context.say(
            "Next: docs/trust.md says how to sign, seal and trust."
            if found.blocks
            else "Its signatures forbid nothing. Next: orloj plan"
        )
    return BLOCKED if found.blocks else 0
