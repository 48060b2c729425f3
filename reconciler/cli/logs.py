"""`orloj logs`: what agents did, step by step."""

import json
import time
from typing import Any, Final

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context, json_option
from reconciler.views import logs as view
from reconciler.views.plain import plain_json
from runner import tasks
from runner.contract import audit
from runner.task_record import StepRecord

POLL_S: Final = 0.3


@click.command()
@click.argument("task_id", metavar="[TASK]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the task ends, or Ctrl-C.")
@click.option(
    "--limit",
    type=click.IntRange(0, 100_000),
    default=200,
    show_default=True,
    help="How many entries of the audit log to look back on.",
)
@json_option
@click.pass_obj
def command(
    context: Context, task_id: str | None, follow: bool, limit: int, as_json: bool
) -> None:
    """Show what all tasks did, or one; one JSON object a line with --json."""
    if task_id is not None:
        with context.database.read() as connection:
            task_id = tasks.resolve(connection, task_id)
    seen, ended = _print_new(context, task_id, None, limit, as_json)
    while follow and not ended:
        time.sleep(POLL_S)
        seen, ended = _print_new(context, task_id, seen, limit, as_json)


def _print_new(
    context: Context, task_id: str | None, seen: int | None, limit: int, as_json: bool
) -> tuple[int, bool]:
    """Print what is new after entry `seen`; the last entry seen, and whether it is over.

    Whether the task ended is read in the same moment as the entries, so that its last
    lines are never missed.
    """
    with context.database.read() as connection:
        entries = list(
            audit.read(
                connection,
                task=task_id,
                after_seq=seen or 0,
                newest=limit if seen is None else None,
            )
        )
        told = [
            (entry.fields, _step(connection, entry.fields))
            for entry in entries
            if view.told(entry.fields)
        ]
        ended = task_id is not None and tasks.record(connection, task_id).finished
    for fields, step in told:
        if as_json:
            line = json.dumps(view.log_json(fields, step), ensure_ascii=False)
            click.echo(plain_json(line))
        else:
            context.show(view.log_line(fields, step))
    return max((entry.seq for entry in entries), default=seen or 0), ended


def _step(connection: Connection, fields: dict[str, Any]) -> StepRecord | None:
    if fields.get("task") is None or fields.get("step") is None:
        return None
    return tasks.step(connection, fields["task"], fields["step"])
