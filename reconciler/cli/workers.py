"""`orloj workers`: list the worker processes."""

import os

import click

from reconciler.cli.context import Context, json_option
from reconciler.views import workers as view
from runner import relief, tasks
from runner.contract import service
from runner.task_record import WorkerRecord


@click.command()
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List the worker processes, of every host that shares the database."""
    with context.database.read() as connection:
        workers = tasks.workers(connection)
    found = [(worker, _memory(context, worker)) for worker in workers]
    if as_json:
        context.show_json([view.worker_json(*one) for one in found])
    else:
        context.show(view.worker_list(found, hosts=context.database.shared))


def _memory(context: Context, worker: WorkerRecord) -> int | None:
    """What a process of this host holds; of others nothing is known here."""
    home = context.settings.home
    here = service.host_id(home) if context.database.shared else os.uname().nodename
    return relief.memory(worker.pid) if worker.host == here else None
