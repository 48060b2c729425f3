"""`orloj task`: one task with its attempts, steps and result; and what became of its call."""

from collections.abc import Sequence

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context, json_option
from reconciler.cli.decide import decide, show
from reconciler.views import tasks as view
from runner import decisions, tasks
from runner.contract import errors
from runner.task_record import Decided


class TaskGroup(click.Group):
    """`orloj task ID` is short for `orloj task show ID`; no id begins with a letter."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments with the command that goes without saying."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=TaskGroup)
def command() -> None:
    """Show one task, or say what became of its interrupted call."""


@command.command("show")
@click.argument("task_id", metavar="ID")
@click.option(
    "--output", "only", is_flag=True, help="Print its output alone, letter by letter."
)
@json_option
@click.pass_obj
def show_task(context: Context, task_id: str, only: bool, as_json: bool) -> None:
    """Show one task. A unique beginning of its ID is enough.

    With --output, exit code 1 when it has none.
    """
    if only and as_json:
        raise click.UsageError("--output prints one text: leave out --json")
    with context.database.read() as connection:
        account = tasks.account(connection, tasks.resolve(connection, task_id))
    if only:
        if account.task.output is None:
            raise errors.NotFound(f"task {account.task.id} is {account.task.state}: no output")
        click.echo(account.task.output, nl=False)
    elif as_json:
        context.show_json(view.account_json(account))
    else:
        context.show(view.task_account(account))


@command.command("resolve")
@click.argument("task_id", metavar="ID")
@click.option("--ran/--not-ran", default=None, help="Whether the interrupted call happened.")
@click.option("--result", help="With --ran: what the call answered, for the agent to read.")
@json_option
@click.pass_obj
def resolve(
    context: Context, task_id: str, ran: bool | None, result: str | None, as_json: bool
) -> None:
    """Say whether the interrupted call of a task ran; the task goes on.

    After --ran it goes on behind the call; after --not-ran the call is made again.
    """
    if ran is None:
        raise click.UsageError("say --ran or --not-ran: look at what the tool acts on")
    if result is not None and not ran:
        raise click.UsageError("--result goes with --ran: a call that did not run has none")

    def act(
        connection: Connection, ids: Sequence[str], *, actor: str, now_us: int
    ) -> list[Decided]:
        (task,) = ids
        return [
            decisions.resolve(
                connection, task, ran=ran, result=result, actor=actor, now_us=now_us
            )
        ]

    show(context, decide(context, [task_id], act), as_json)
