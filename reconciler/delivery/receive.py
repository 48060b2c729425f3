"""Take in a proved delivery, in one transaction: event, task and audit entries together.

    hold the webhook's row ─> is it as it was? ─> event known? ─> template ─> queue, log, count
                                                     └── the task it queued then

An event stands for one task as long as its window lasts. Whoever is killed before the sender
hears of it has written all or nothing, and the sender's next try finds out which. Locks are
taken in one order: the row of a webhook, then tasks, then the log, as schedules do.
"""

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from reconciler import recorded
from reconciler.delivery import event as delivery_event
from reconciler.delivery import rows as delivery_rows
from reconciler.delivery.evidence import Header
from reconciler.delivery.rows import Manifest, Standing
from runner.contract import audit, audit_entry, clock, errors, submission
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.kinds import Key, Task, TaskWebhook, spec_of
from runner.contract.submission import Submission

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery with a proof: what was sent to a webhook as it was recorded then."""

    manifest: Manifest
    spec: TaskWebhook
    header: Header
    body: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """The task that an event stands for, and whether an earlier delivery queued it."""

    task: str
    duplicate: bool


class Changed(errors.Refused):
    """The webhook is not any more what the delivery was proved against."""


class NoTask(errors.Refused):
    """There is nothing to queue: what the webhook names is not there or cannot be read."""


def actor(key: Key) -> str:
    """Who queues a webhook's tasks, as the log names it."""
    return f"webhook:{key.namespace}/{key.name}"


def receive(connection: Connection, delivery: Delivery, now_us: int) -> Received:
    """Queue a delivery's task, or find the one that its event queued; Refused, Changed, NoTask.

    In the caller's write transaction.
    """
    manifest, spec = delivery.manifest, delivery.spec
    key = manifest.key
    event_id = delivery_event.event(spec, delivery.header, delivery.body)
    event = delivery_event.digest(event_id)
    delivery_rows.hold(connection, key)
    if delivery_rows.manifest(connection, key) != manifest:
        raise Changed(f"{key} was changed while it was asked")
    if known := delivery_rows.known(connection, key, event, now_us):
        counted = Standing(duplicates=1, delivered_at=now_us)
        delivery_rows.note(connection, key, counted)
        return Received(known, duplicate=True)
    task = _queue(connection, delivery, event_id, now_us)
    until_us = now_us + spec.window_s * _SECOND_US
    delivery_rows.remember(connection, key, event, task, until_us)
    counted = Standing(accepted=1, delivered_at=now_us, task=task, problem="")
    delivery_rows.note(connection, key, counted)
    delivery_rows.prune(connection, now_us)
    return Received(task, duplicate=False)


def _queue(connection: Connection, delivery: Delivery, event_id: str, now_us: int) -> str:
    manifest = delivery.manifest
    key = manifest.key
    work = _work(connection, key, delivery.spec)
    filled = delivery_event.inputs(
        *(key, delivery.spec, delivery.body, event_id),
        received_at=clock.iso(now_us),
        declared=set(work.input),
    )
    commit = recorded.commit_of(connection, manifest.owner)
    commit = commit or manifest.commit or audit_entry.NO_COMMIT
    work = replace(work, input=work.input | filled)
    (task,) = submission.submit(connection, [work], commit, now_us)
    entry = Entry(
        type=EntryType.WEBHOOK_RECEIVED,
        actor=actor(key),
        commit=commit,
        task=task,
        rule=f"{manifest.path}:{manifest.line}",
        resource=str(key),
        outcome="queued",
        private=(("event", event_id),),
    )
    audit.append(connection, [entry], now_us)
    return task


def _work(connection: Connection, key: Key, spec: TaskWebhook) -> Submission:
    """What the template asks for now; NoTask."""
    if spec.task_template is not None:
        return submission.of_inline(key.namespace, spec.task_template, actor(key))
    template = spec.queued(key.namespace)
    found = recorded.resources_with(connection, [template]).get(template)
    if found is None:
        raise NoTask(f"{template} is not there")
    try:
        task = spec_of("Task", found.body)
    except errors.Refused as error:
        raise NoTask(str(error)) from error
    assert isinstance(task, Task)
    return submission.of_task(template, task, actor(key))
