"""Queue a task: the one way work enters, for the reconciler's apply and for people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection

from runner.contract import audit, clock
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.kinds import Key, Task

PRIORITIES: Final = {"critical": 0, "high": 1, "normal": 2, "low": 3}

_INSERT = (
    "INSERT INTO task (id, namespace, subject_kind, subject_name, task_name, input, state,"
    " priority, run_at, fence, attempt, crashes, retry, actor, tokens_in, tokens_out,"
    " created_at, requirements, flow, commit_sha, manifest_set)"
    " VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, 0, 0, 0, ?, ?, 0, 0, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Submission:
    """Work to queue. `retry` and `requirements` are as the Task kind writes them; {} is one
    attempt, and any worker. `flow` is what `Task.flow` says. `manifest_set` is the digest of a
    kept set that it works under from the start; None: the one that its subject has then.
    """

    subject: Key
    actor: str
    input: dict[str, str] = field(default_factory=dict)
    task_name: str | None = None
    priority: str = "normal"
    retry: dict[str, Any] = field(default_factory=dict)
    requirements: dict[str, Any] = field(default_factory=dict)
    flow: dict[str, Any] = field(default_factory=dict)
    manifest_set: str | None = None


def of_task(key: Key, spec: Task, actor: str) -> Submission:
    """The work that a Task manifest asks for."""
    return Submission(
        subject=spec.subject(key.namespace),
        actor=actor,
        input=dict(spec.input),
        task_name=key.name,
        priority=spec.priority,
        retry=spec.retry.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        requirements=spec.requirements.model_dump(mode="json", exclude_defaults=True),
        flow=spec.flow(),
    )


def of_inline(namespace: str, spec: Task, actor: str) -> Submission:
    """The work of a task that stands in what queues it, and has no name."""
    return replace(of_task(Key(namespace, "Task", ""), spec, actor), task_name=None)


def submit(
    connection: Connection, submissions: Sequence[Submission], commit: str, now_us: int
) -> list[str]:
    """Queue tasks and log it, in the caller's transaction; their ids, in order.

    After the transaction is durable, `wake.knock` saves the runner a poll.
    """
    ids, entries = queue(connection, submissions, commit, now_us)
    if entries:
        audit.append(connection, entries, now_us)
    return ids


def queue(
    connection: Connection, submissions: Sequence[Submission], commit: str, now_us: int
) -> tuple[list[str], list[Entry]]:
    """Queue tasks; their ids, in order, and the entries that the caller has to append."""
    # Sorted, since ids of the same millisecond come in any order and age is what counts.
    ids = sorted(clock.new_id() for _ in submissions)
    rows = [
        (task_id, item.subject.namespace, item.subject.kind, item.subject.name)
        + (item.task_name, json.dumps(item.input, sort_keys=True, ensure_ascii=False))
        + (PRIORITIES[item.priority], now_us, json.dumps(item.retry, sort_keys=True))
        + (item.actor, now_us, json.dumps(item.requirements, sort_keys=True))
        + (json.dumps(item.flow, sort_keys=True),)
        + ((commit, item.manifest_set) if item.manifest_set else (None, None))
        for task_id, item in zip(ids, submissions, strict=True)
    ]
    if rows:
        connection.exec_driver_sql(_INSERT, rows)
    return ids, [
        Entry(
            type=EntryType.TASK_QUEUED,
            actor=item.actor,
            commit=commit,
            task=task_id,
            resource=str(item.subject),
            manifests=item.manifest_set,
            private=(("input", item.input),) if item.input else (),
        )
        for task_id, item in zip(ids, submissions, strict=True)
    ]
