"""`orloj status`: what is applied, what runs and what is stuck."""

import json
from dataclasses import replace
from typing import Final

import click

from reconciler import census, source_status
from reconciler.cli.context import Context, json_option
from reconciler.drift.settle import drift_totals
from reconciler.proof import coverage
from reconciler.schedule import rows as schedule_rows
from reconciler.source_status import Known
from reconciler.views import status as view
from reconciler.views.sources import SourceStatus
from runner import order, tasks
from runner.approval import rows as approval_rows
from runner.contract import clock, service
from runner.limit import records as limit_records
from runner.turn import SEEN_EVERY_US

_SILENT_US: Final = 3 * SEEN_EVERY_US  # Of a worker of another host: then it is gone.


@click.command()
@click.option("--exit-code", is_flag=True, help="Exit with 1 when something is stuck.")
@json_option
@click.pass_obj
def command(context: Context, exit_code: bool, as_json: bool) -> int:
    """Show what is applied, what runs and what is stuck."""
    settings, shared = context.settings, context.database.shared
    with context.database.read() as connection:
        now_us, workers = clock.now_us(), tasks.workers(connection)
        seen = shared and any(worker.seen_at > now_us - _SILENT_US for worker in workers)
        looking = service.is_running(settings.run, "daemon") or context.database.led(connection)
        known = source_status.known(connection, settings)
        drift = drift_totals(connection)
        status = view.Status(
            home=str(settings.home),
            now_us=now_us,
            sources=[
                replace(_source(found, looking=looking), drift=drift.get(found.state.name, 0))
                for found in known
            ],
            resources=census.by_kind(connection),
            daemon_running=looking,
            runner_running=service.is_running(settings.run, "runner") or seen,
            schedules=view.ScheduleTotals(*schedule_rows.totals(connection)),
            tasks=tasks.counts(connection),
            # What the hosts that share a database offer, only they know.
            tasks_unmatched=0
            if shared
            else tasks.unmatched(
                connection,
                order.offer(settings.runner, order.declared(connection, settings.runner)),
            ),
            approvals=approval_rows.pending(connection, now_us),
            limit_waits=limit_records.waits(connection),
            drift=drift,
            workers=workers,
            audit=coverage.covered(connection, settings, now_us),
        )
    if as_json:
        context.show_json(view.status_json(status))
    else:
        context.show(view.status_words(status))
    return 1 if exit_code and view.stuck(status) else 0


def _source(found: Known, *, looking: bool) -> SourceStatus:
    """A repository as the last pass left it; as the settings say before the first one."""
    state, standing, control = found.state, found.standing, found.control
    return SourceStatus(
        name=state.name,
        url=state.url,
        ref=state.ref,
        path=state.path,
        applied_commit=state.applied_commit,
        attempted_commit=state.attempted_commit,
        condition=state.condition,
        reason=state.reason,
        message=state.message,
        problems=json.loads(state.problems),
        checked_at=state.checked_at,
        applied_at=state.applied_at,
        subject=found.record.subject if found.record else None,
        author=found.record.author if found.record else None,
        since_at=standing.since_at if standing else None,
        next_at=found.next_at if looking else None,
        failures=standing.failures if standing else 0,
        suspended_by=control.suspended_by,
        suspended_reason=control.suspended_reason,
        suspended_at=control.suspended_at,
        followed=found.settings is not None,
        resources=found.resources,
    )
