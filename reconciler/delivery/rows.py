"""The rows of task webhooks: their manifests, what they were sent, and the known events.

Plain statements over the caller's connection. Nothing here decides anything.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from runner.contract.kinds import Key

KIND: Final = "TaskWebhook"
ID_CHARACTERS: Final = 24
SHORT_ID_CHARACTERS: Final = 12
PRUNED_MAX: Final = 200
"""Events that one delivery forgets: more than it adds, so that the table stays small."""

_MANIFEST: Final = (
    "SELECT namespace, name, body, owner, commit_sha, path, line FROM resource"
    " WHERE kind = 'TaskWebhook'"
)
_COUNT: Final = (
    "INSERT INTO task_webhook (namespace, name, accepted, duplicates, refused, delivered_at,"
    " task_id, refused_at, refusal, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (namespace, name) DO UPDATE SET"
    " accepted = task_webhook.accepted + excluded.accepted,"
    " duplicates = task_webhook.duplicates + excluded.duplicates,"
    " refused = task_webhook.refused + excluded.refused,"
    " delivered_at = COALESCE(excluded.delivered_at, task_webhook.delivered_at),"
    " task_id = COALESCE(excluded.task_id, task_webhook.task_id),"
    " refused_at = COALESCE(excluded.refused_at, task_webhook.refused_at),"
    " refusal = COALESCE(excluded.refusal, task_webhook.refusal),"
    " problem = CASE WHEN excluded.problem = '' THEN NULL"
    " ELSE COALESCE(excluded.problem, task_webhook.problem) END"
)

_EVENT: Final = (
    "INSERT INTO task_webhook_event (namespace, name, event, task_id, expires_at)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (namespace, name, event) DO UPDATE SET"
    " task_id = excluded.task_id, expires_at = excluded.expires_at"
)
_PRUNE: Final = (
    "DELETE FROM task_webhook_event WHERE (namespace, name, event) IN (SELECT namespace, name,"
    " event FROM task_webhook_event WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
    " /* skip locked */)"
)
_STANDING: Final = (
    "SELECT namespace, name, accepted, duplicates, refused, delivered_at, task_id, refused_at,"
    " refusal, problem FROM task_webhook"
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A TaskWebhook as it is recorded."""

    key: Key
    body: str
    owner: str
    commit: str | None
    path: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a webhook was sent. `problem` says why it lets nothing in."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    delivered_at: int | None = None
    task: str | None = None
    refused_at: int | None = None
    refusal: str | None = None
    problem: str | None = None


def identity(key: Key) -> str:
    """The last part of a webhook's address, as the public dialect makes it."""
    name = f"{key.namespace}/{key.name}".encode()
    return hashlib.sha256(name).hexdigest()[:ID_CHARACTERS]


def manifest(connection: Connection, key: Key) -> Manifest | None:
    """A TaskWebhook; None when it is not recorded any more."""
    row = connection.exec_driver_sql(
        f"{_MANIFEST} AND namespace = ? AND name = ?", (key.namespace, key.name)
    ).one_or_none()
    return None if row is None else Manifest(Key(row[0], KIND, row[1]), *row[2:])


def manifests(connection: Connection) -> list[Manifest]:
    """Every TaskWebhook that is recorded, by name."""
    rows = connection.exec_driver_sql(f"{_MANIFEST} ORDER BY namespace, name")
    return [Manifest(Key(row[0], KIND, row[1]), *row[2:]) for row in rows]


def standings(connection: Connection) -> Mapping[Key, Standing]:
    """What every webhook was sent."""
    names = Standing.__dataclass_fields__
    return {
        Key(namespace, KIND, name): Standing(**dict(zip(names, values, strict=True)))
        for namespace, name, *values in connection.exec_driver_sql(_STANDING)
    }


def state_of(connection: Connection, task: str | None) -> str | None:
    """The state of a task; None when there is none any more."""
    if task is None:
        return None
    return connection.exec_driver_sql(
        "SELECT state FROM task WHERE id = ?", (task,)
    ).scalar_one_or_none()


def note(connection: Connection, key: Key, more: Standing) -> None:
    """Count deliveries, and write down how the last went. The `problem` "" is one less."""
    connection.exec_driver_sql(
        _COUNT,
        (key.namespace, key.name, more.accepted, more.duplicates, more.refused)
        + (more.delivered_at, more.task, more.refused_at, more.refusal, more.problem),
    )


def hold(connection: Connection, key: Key) -> None:
    """Be the only one who takes deliveries of this webhook, until the transaction ends."""
    note(connection, key, Standing())  # To write a row is to hold it.


def known(connection: Connection, key: Key, event: str, now_us: int) -> str | None:
    """The task that an event queued; None: it is new, or its window is over."""
    return connection.exec_driver_sql(
        "SELECT task_id FROM task_webhook_event WHERE namespace = ? AND name = ? AND event = ?"
        " AND expires_at > ?",
        (key.namespace, key.name, event, now_us),
    ).scalar_one_or_none()


def remember(connection: Connection, key: Key, event: str, task: str, until_us: int) -> None:
    """Let an event that is not known stand for a task until a time."""
    connection.exec_driver_sql(_EVENT, (key.namespace, key.name, event, task, until_us))


def prune(connection: Connection, now_us: int) -> None:
    """Forget events whose window is over."""
    connection.exec_driver_sql(_PRUNE, (now_us, PRUNED_MAX))
