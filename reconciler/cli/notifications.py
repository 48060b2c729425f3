"""`orloj notifications`: what was sent to whom, and what waits to be."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.notify import outbox
from reconciler.notify.notice import Notice, NoticeState
from reconciler.views import notifications as view
from reconciler.views.notifications import NotificationRecord


@click.command()
@click.option(
    "--state",
    type=click.Choice([state.value for state in NoticeState]),
    help="Only those in this state.",
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, help="How many. Default: 50."
)
@json_option
@click.pass_obj
def command(context: Context, state: str | None, limit: int, as_json: bool) -> int:
    """List notifications of events, newest first: their state, tries and last error."""
    with context.database.read() as connection:
        found = [_record(notice) for notice in outbox.listed(connection, state, limit)]
    if as_json:
        context.show_json([view.notification_json(one) for one in found])
    else:
        context.show(view.notification_list(found, list(context.settings.notify)))
    return 0


def _record(notice: Notice) -> NotificationRecord:
    event = notice.event
    return NotificationRecord(
        id=notice.id,
        target=notice.target,
        source=event.source,
        severity=event.severity.value,
        reason=event.reason,
        message=event.message,
        commit=event.commit,
        resource=event.resource,
        status=None if notice.status is None else notice.status.value,
        happened_at=notice.happened_at,
        state=notice.state.value,
        attempts=notice.attempts,
        due_at=notice.due_at if notice.state is NoticeState.WAITING else None,
        error=notice.error,
    )
