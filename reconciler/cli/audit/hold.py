"""`orloj audit hold`: legal holds."""

import click

from reconciler.cli.asking import actor
from reconciler.cli.context import Context, json_option
from reconciler.privacy import holds
from reconciler.privacy.record import LegalHold, Scope
from reconciler.views import privacy as view
from runner import tasks
from runner.contract import clock, errors


@click.group()
def command() -> None:
    """Set, release and list legal holds: what is under one is not erased."""


@command.command("set")
@click.option("--namespace", help="Hold what the tasks of this namespace left.")
@click.option("--agent", help="Hold every task that this agent worked at.")
@click.option("--task", help="Hold one task.")
@click.option("--everything", is_flag=True, help="Hold the whole log.")
@click.option("--reason", required=True, help="Why: a case, a letter.")
@click.pass_obj
def set_(
    context: Context,
    *,
    namespace: str | None,
    agent: str | None,
    task: str | None,
    everything: bool,
    reason: str,
) -> None:
    """Set a hold on exactly one thing."""
    chosen = [
        (scope, subject)
        for scope, subject in (
            (Scope.NAMESPACE, namespace),
            (Scope.AGENT, agent),
            (Scope.TASK, task),
            (Scope.LOG, "" if everything else None),
        )
        if subject is not None
    ]
    if len(chosen) != 1:
        raise errors.Refused("say one of --namespace, --agent, --task and --everything")
    scope, subject = chosen[0]
    with context.database.write() as connection:
        if scope is Scope.TASK:
            subject = tasks.resolve(connection, subject)
        hold = holds.put(
            connection, scope, subject, actor=actor(), reason=reason, now_us=clock.now_us()
        )
    click.echo(
        f"Held: {view.subject(hold)}. To let go: orloj audit hold release {hold.id} --reason …"
    )


@command.command("release")
@click.argument("hold_id", metavar="HOLD")
@click.option("--reason", required=True, help="Why it is over.")
@click.pass_obj
def release(context: Context, hold_id: str, reason: str) -> None:
    """Release a hold by its id, or the beginning of it."""
    with context.database.write() as connection:
        hold = holds.release(connection, hold_id, actor(), reason, clock.now_us())
    click.echo(f"Released: {view.subject(hold)}. Next: orloj audit hold list")


@command.command("list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List the holds that stand."""
    with context.database.read() as connection:
        found: list[LegalHold] = holds.standing(connection)
    if as_json:
        context.show_json([view.hold_json(hold) for hold in found])
    else:
        context.show(view.hold_list(found))
