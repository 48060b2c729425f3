"""`orloj dead`: tasks that are out of attempts, one by one or in bulk."""

from collections.abc import Callable
from typing import Any, Final

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.decide import Act, decide, decide_on, show
from reconciler.cli.parameters import Length
from reconciler.views import decisions as words
from reconciler.views import tasks as view
from runner import decisions, tasks
from runner.contract import clock, errors
from runner.decisions import Letters
from runner.task_record import Decided

BATCH: Final = 500  # In one transaction: the runner must not wait long for the database.
BATCHES_MAX: Final = 10_000
SHOWN_STATES: Final = ("dead", "failed", "dropped")

_failed = click.option("--failed", is_flag=True, help="Failed tasks too, not only dead ones.")
_agent = click.option("--agent", metavar="NAME", help="Only of this agent or system.")
_older = click.option("--older", type=Length(), help="Only what ended longer ago: 2h, 7d.")
_all = click.option("--all", "every", is_flag=True, help="Every dead letter.")
_ids = click.argument("ids", metavar="[ID...]", nargs=-1)


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    return _agent(_older(_failed(function)))


@click.group()
def command() -> None:
    """List, show, retry and drop dead letters."""


@command.command("list")
@_filters
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="How many."
)
@json_option
@click.pass_obj
def list_letters(
    context: Context,
    *,
    agent: str | None,
    older: float | None,
    failed: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List dead letters, oldest first."""
    wanted = _wanted(agent, older, failed)
    with context.database.read() as connection:
        ids = decisions.letters(connection, wanted, limit)
        found = [tasks.record(connection, id) for id in ids]
    if as_json:
        context.show_json([view.task_json(task) for task in found])
    else:
        context.show(words.letter_list(found))


@command.command("show")
@click.argument("task_id", metavar="ID")
@json_option
@click.pass_obj
def show_letter(context: Context, task_id: str, as_json: bool) -> None:
    """Show one dead letter with its attempts and steps."""
    with context.database.read() as connection:
        account = tasks.account(connection, tasks.resolve(connection, task_id))
    task = account.task
    if task.state not in SHOWN_STATES:
        raise errors.Refused(
            f"task {task.id} is {task.state}, no dead letter; `orloj task {task.id}` shows it"
        )
    if as_json:
        context.show_json(view.account_json(account))
    else:
        context.show(view.task_account(account))
        context.say(f"Next: orloj retry {task.id}")


@command.command("retry")
@_ids
@_filters
@_all
@json_option
@click.pass_obj
def retry(
    context: Context,
    *,
    ids: tuple[str, ...],
    agent: str | None,
    older: float | None,
    failed: bool,
    every: bool,
    as_json: bool,
) -> None:
    """Queue dead letters again: those named, or all that a filter finds."""
    _check_chosen(ids, agent is not None or older is not None or failed, every)
    wanted = _wanted(agent, older, failed)
    show(context, _each(context, ids, wanted, decisions.retry), as_json)


@command.command("drop")
@_ids
@_filters
@_all
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def drop(
    context: Context,
    *,
    ids: tuple[str, ...],
    agent: str | None,
    older: float | None,
    failed: bool,
    every: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Put dead letters away: they keep everything and are listed no more."""
    _check_chosen(ids, agent is not None or older is not None or failed, every)
    wanted = _wanted(agent, older, failed)
    if not yes and not context.confirmed("Drop these dead letters?", "drop", "dropped"):
        return 1
    show(context, _each(context, ids, wanted, decisions.drop), as_json)
    return 0


def _wanted(agent: str | None, older_s: float | None, failed: bool) -> Letters:
    """What the filters mean; `--agent` takes NAME or NAMESPACE/NAME."""
    namespace, _, name = (agent or "").rpartition("/")
    before_us = clock.now_us() - int((older_s or 0) * 1_000_000)
    return Letters(
        before_us=before_us,
        failed=failed,
        namespace=namespace or None,
        name=name or None,
    )


def _check_chosen(ids: tuple[str, ...], narrowed: bool, every: bool) -> None:
    """Whether it is clear what is meant: ids, or a filter, or all."""
    if ids and (narrowed or every):
        raise click.UsageError("name IDs or give a filter, not both")
    if not ids and not narrowed and not every:
        raise click.UsageError("name IDs, or give --agent, --older, --failed or --all")


def _each(context: Context, ids: tuple[str, ...], wanted: Letters, act: Act) -> list[Decided]:
    if ids:
        return decide(context, ids, act)
    decided: list[Decided] = []
    for _ in range(BATCHES_MAX):
        # A letter that dies again meanwhile ended after `before_us`, so this comes to an end.
        batch = decide_on(context, lambda at: decisions.letters(at, wanted, BATCH), act)
        decided += batch
        if len(batch) < BATCH:
            break
    return decided
