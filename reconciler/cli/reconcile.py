"""`orloj reconcile`: make the daemon look at the repositories now.

Exit codes: 0 they are applied (or, without `--wait`, the daemon was told), 1 one is not,
124 a canary was not over in time. `--wait` waits for the canary of what is applied as well,
until a newer commit comes. `--json` waits too, and prints `{commit, condition, reason, message,
sources[], left[]}` as the look left them: the first one's, and the same with `name` for each;
`left` are repositories that are not in the settings any more, with how many `resources` they
left.
"""

from collections.abc import Sequence

import click

from reconciler.cli import asking, letting, standing_by
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Length
from reconciler.condition import READY
from reconciler.reconcile import Reconciler
from runner import decisions
from runner.contract import clock, wake


@click.command()
@click.argument("names", metavar="[SOURCE]...", nargs=-1)
@click.option("--wait", is_flag=True, help="Wait for the look, and a canary; --json does.")
@click.option("--again", is_flag=True, help="Try a commit again whose canary failed.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Length(),
    default="60s",
    show_default=True,
    help="How long to wait with --wait.",
)
@click.option("--override-freeze", is_flag=True, help="Apply this commit in a frozen window.")
@click.option("--accept-rewrite", is_flag=True, help="Follow a history that was rewritten.")
@click.option(
    "--allow-destroy",
    "destroy",
    metavar="KEY",
    multiple=True,
    help="Let this resource be deleted, as in tool/default/search; may be given again.",
)
@click.option("--approve", metavar="PLAN_ID", help="Approve the plan of this id.")
@click.option("--reason", default="", help="Why something is let pass; the log keeps it.")
@json_option
@click.pass_obj
def command(
    context: Context,
    names: tuple[str, ...],
    *,
    wait: bool,
    again: bool,
    timeout_s: float,
    override_freeze: bool,
    accept_rewrite: bool,
    destroy: tuple[str, ...],
    approve: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Make the daemon look at the repositories now; without a daemon, look ourselves.

    SOURCE is the name of a repository in the settings; none means all of them. What is let
    pass counts for the commit that is there now, and for no other.
    """
    chosen = asking.chosen(context, names)
    asked = letting.Letting(
        freeze=override_freeze,
        rewrite=accept_rewrite,
        destroy=destroy,
        plan=approve,
        reason=reason,
    )
    _let_pass(context, chosen, asked)
    if again:
        standing_by.forgive(context, chosen)
    token = asking.request(context, chosen)
    alone = not context.database.knock(wake.DAEMON)
    deadline_us = clock.boot_us() + int(timeout_s * 1_000_000)
    if not alone:
        if not (wait or as_json):
            asking.say_left(context)
            context.say("The daemon is looking. Next: orloj status")
            return 0
        asking.await_answer(context, chosen, token, timeout_s)
    else:
        for name in chosen:
            Reconciler(context.settings, context.database, name, cancel=decisions.cancel).run(
                clock.now_us(), forced=True
            )
    code = 0
    if wait or as_json:
        code = standing_by.await_canaries(context, chosen, deadline_us, alone=alone)
    states = asking.states(context, chosen)
    asking.show(context, states, as_json)
    return code or (0 if all(state.condition == READY for state in states) else 1)


def _let_pass(context: Context, chosen: Sequence[str], asked: letting.Letting) -> None:
    if asked.any:
        commit = letting.let_pass(context, chosen, asked)
        context.say(f"Let pass for commit {commit[:8]} of {chosen[0]}, as the log says.")
    elif asked.reason:
        raise click.UsageError("--reason says why something is let pass, and nothing is")
