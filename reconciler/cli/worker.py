"""`orloj worker`: run the dispatcher and its worker processes, drain one, replace all."""

import time
from typing import Final

import click

from reconciler.cli.context import Context
from runner import relief, tasks
from runner.contract import errors, service, wake
from runner.task_record import WorkerRecord

_LOOK_S: Final = 0.1


@click.group(invoke_without_command=True)
@click.pass_context
def command(call: click.Context) -> int:
    """Run tasks until stopped. SIGTERM lets running tasks finish or gives them back."""
    from runner import pool  # Only who runs tasks waits for what that needs.

    if call.invoked_subcommand is not None:
        return 0
    context: Context = call.obj
    return pool.main(context.settings)


@command.command()
@click.argument("worker", metavar="ID")
@click.pass_obj
def drain(context: Context, worker: str) -> None:
    """Let a worker finish what it runs; another takes its place."""
    _drain(context, worker)
    context.say(f"{worker} takes nothing new and is replaced when it holds nothing.")


@command.command()
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1),
    default=600.0,
    show_default=True,
    help="Seconds to wait for each worker.",
)
@click.pass_obj
def restart(context: Context, timeout_s: float) -> int:
    """Replace every worker, one after the other; no task is lost."""
    for worker in _workers(context):
        count = len(_workers(context))
        _drain(context, worker.id)
        deadline = time.monotonic() + timeout_s
        while not _replaced(_workers(context), worker.id, count):
            if time.monotonic() > deadline:
                context.say(f"{worker.id} still runs tasks; it is replaced when they end.")
                return 1
            time.sleep(_LOOK_S)
        context.say(f"{worker.id} is replaced.")
    return 0


def _workers(context: Context) -> list[WorkerRecord]:
    with context.database.read() as connection:
        return tasks.workers(connection)


def _drain(context: Context, worker: str) -> None:
    here = service.is_running(context.settings.run, "runner")
    if not (here or context.database.shared):
        raise errors.NotFound("no runner is running; `orloj worker` starts one")
    with context.database.write() as connection:
        relief.ask(connection, worker)
    context.database.knock(wake.RUNNER)


def _replaced(workers: list[WorkerRecord], old: str, count: int) -> bool:
    return len(workers) >= count and old not in {worker.id for worker in workers}
