"""`orloj schedules`: when schedules come due, and what became of their last moments."""

from typing import Final

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context, json_option
from reconciler.schedule import rows as schedule_rows
from reconciler.schedule.due import Progress
from reconciler.schedule.rows import Manifest
from reconciler.schedule.settle import read
from reconciler.views import schedules as view
from runner.contract import clock, errors
from runner.contract.timetable import Timetable

FOLLOWING: Final = 3


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    default=5,
    show_default=True,
    help="How many of the last moments of each, in JSON.",
)
@json_option
@click.pass_obj
def command(context: Context, limit: int, as_json: bool) -> None:
    """List schedules: when they run next, and how the last run went."""
    now_us = clock.now_us()
    with context.database.read() as connection:
        decided = schedule_rows.progress(connection)
        found = [
            _record(connection, manifest, decided.get(key), now_us=now_us, limit=limit)
            for key, manifest in schedule_rows.manifests(connection).items()
        ]
    if as_json:
        context.show_json([view.schedule_json(one) for one in found])
    else:
        context.show(view.schedule_list(found))


def _record(
    connection: Connection,
    manifest: Manifest,
    decided: Progress | None,
    *,
    now_us: int,
    limit: int,
) -> view.ScheduleRecord:
    key = manifest.key
    fires = schedule_rows.records(connection, key, limit)
    missed = decided.missed if decided else 0
    try:
        spec, timetable = read(manifest)
    except (errors.Refused, ValueError) as error:
        return view.ScheduleRecord(
            namespace=key.namespace,
            name=key.name,
            task="",
            schedule="",
            time_zone="",
            concurrency_policy="",
            suspended=False,
            missed=missed,
            following=(),
            fires=fires,
            problem=str(error),
        )
    # What is decided does not come again, even when the clock was set back.
    since_us = max(now_us, decided.through_us if decided else now_us)
    return view.ScheduleRecord(
        namespace=key.namespace,
        name=key.name,
        task=str(spec.queued(key.namespace)),
        schedule=spec.schedule,
        time_zone=spec.time_zone,
        concurrency_policy=spec.concurrency_policy,
        suspended=spec.suspend,
        missed=missed,
        following=() if spec.suspend else _following(timetable, since_us),
        fires=fires,
    )


def _following(timetable: Timetable, since_us: int) -> tuple[int, ...]:
    found: list[int] = []
    at = timetable.after(since_us)
    while at is not None and len(found) < FOLLOWING:
        found.append(at)
        at = timetable.after(at)
    return tuple(found)
