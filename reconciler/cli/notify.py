"""`orloj notify test NAME`: see that a target of notifications can be told."""

import click

from reconciler import recorded
from reconciler.cli.context import Context, json_option
from reconciler.event.events import Event, EventSeverity
from reconciler.notify import post
from reconciler.notify.notice import Notice, Status
from reconciler.views import notifications as view
from reconciler.views.notifications import TrialRecord
from runner.contract import clock, errors, settings
from runner.contract.settings import DEFAULT_SOURCE
from runner.contract.web_settings import Notify


@click.group()
def command() -> None:
    """Try the targets of notifications."""


@command.command("test")
@click.argument("name")
@json_option
@click.pass_obj
def test(context: Context, name: str, as_json: bool) -> int:
    """Send a test message to the target NAME, and say what it answered.

    The status of a commit is set on the commit that is applied, as orloj/test.
    """
    target = context.settings.notify.get(name)
    if target is None:
        known = ", ".join(context.settings.notify) or "none"
        raise errors.NotFound(f"there is no [notify.{name}] in orloj.toml; there: {known}")
    found = post.send(context.settings.home, name, target, _notice(context, name, target))
    record = TrialRecord(
        target=name,
        told=found.problem is None,
        status=found.status,
        answer=found.said,
        problem=found.problem,
        retried=found.again,
    )
    if as_json:
        context.show_json(view.trial_json(record))
    else:
        context.show(view.trial(record))
    return 0 if found.problem is None else 1


def _notice(context: Context, name: str, target: Notify) -> Notice:
    now_us = clock.now_us()
    event = Event(
        source="test",
        severity=EventSeverity.INFO,
        reason="Test",
        message=f"{settings.person()} tries the notifications of orloj",
        commit=_applied_commit(context, target) if target.is_status else None,
    )
    return Notice(
        id=clock.new_id(),
        target=name,
        event=event,
        status=Status.SUCCESS if target.is_status else None,
        happened_at=now_us,
    )


def _applied_commit(context: Context, target: Notify) -> str:
    source = (target.sources or list(context.settings.followed) or [DEFAULT_SOURCE])[0]
    with context.database.read() as connection:
        state = recorded.source(connection, source)
    if state is None or state.applied_commit is None:
        raise errors.NotFound(
            f"no commit of {source} is applied whose status could be set; run orloj reconcile"
        )
    return state.applied_commit
