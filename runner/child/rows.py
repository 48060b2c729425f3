"""The rows of child tasks, and the templates they are made from.

Plain statements over the caller's connection. Nothing here decides anything.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner.child.bounds import Family
from runner.contract.kinds import Key

PARENT: Final = "orloj.dev/parent-task"
DEPTH: Final = "orloj.dev/depth"
CREATED_BY: Final = "orloj.dev/created-by"
_SCANNED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Template:
    """A Task as it is recorded, and the commit it stands at, if it came from one."""

    body: str
    place: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A task of a namespace, for an agent to see; what it was given and said is not there."""

    id: str
    template: str | None
    subject: str
    state: str
    created_at: int
    labels: Mapping[str, str]


def template(connection: Connection, key: Key) -> Template | None:
    """A Task as it is recorded now; None when nobody declares it."""
    row = connection.exec_driver_sql(
        "SELECT r.body, r.path, r.line, s.applied_commit FROM resource r"
        " LEFT JOIN source s ON r.owner = 'git:' || s.name"
        " WHERE r.namespace = ? AND r.kind = ? AND r.name = ?",
        tuple(key),
    ).one_or_none()
    return None if row is None else Template(row[0], f"{row[1]}:{row[2]}", row[3])


def child(connection: Connection, parent: str, step: int) -> str | None:
    """The task that a step queued; None: it has not yet."""
    return connection.exec_driver_sql(
        "SELECT task_id FROM task_child WHERE parent_id = ? AND step = ?", (parent, step)
    ).scalar_one_or_none()


def family(connection: Connection, task: str) -> Family:
    """Where a task stands among those that queued each other."""
    above = connection.exec_driver_sql(
        "SELECT root_id, depth FROM task_child WHERE task_id = ?", (task,)
    ).one_or_none()
    root, depth = (task, 0) if above is None else (str(above[0]), int(above[1]))
    children, total = (
        int(connection.exec_driver_sql(query, (value,)).scalar_one())
        for query, value in (
            ("SELECT count(*) FROM task_child WHERE parent_id = ?", task),
            ("SELECT count(*) FROM task_child WHERE root_id = ?", root),
        )
    )
    return Family(root, depth, children, total)


def save(
    connection: Connection,
    parent: tuple[str, int],
    task: str,
    family: Family,
    labels: Mapping[str, str],
    *,
    now_us: int,
) -> None:
    """Write down which step queued a task. `parent` is a task and a step of it."""
    connection.exec_driver_sql(
        "INSERT INTO task_child (parent_id, step, task_id, root_id, depth, labels, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*parent, task, family.root, family.depth + 1)
        + (json.dumps(labels, sort_keys=True), now_us),
    )


def listed(
    connection: Connection, namespace: str, wanted: Mapping[str, str], limit: int
) -> list[Listed]:
    """The newest tasks of a namespace that have all these labels, newest first.

    Only child tasks have labels; of many, the newest thousand are looked at.
    """
    join = "JOIN" if wanted else "LEFT JOIN"
    below, values = "", [namespace]
    if PARENT in wanted:
        below, values = " AND c.parent_id = ?", [namespace, wanted[PARENT]]
    rows = connection.exec_driver_sql(
        "SELECT t.id, t.task_name, t.subject_kind, t.subject_name, t.state, t.created_at,"  # noqa: S608
        f" c.parent_id, c.depth, c.labels FROM task t {join} task_child c ON c.task_id = t.id"
        f" WHERE t.namespace = ?{below} ORDER BY t.id DESC LIMIT ?",
        (*values, _SCANNED_MAX if wanted else limit),
    )
    found = [one for one in map(_listed, rows) if wanted.items() <= one.labels.items()]
    return found[:limit]


def labels_of(parent: str, depth: int, given: str) -> dict[str, str]:
    """The labels of a child task: what it was given, and what it is."""
    ours = {PARENT: parent, DEPTH: str(depth), CREATED_BY: "orloj.task.create"}
    labels: dict[str, str] = json.loads(given)
    return labels | ours


def _listed(row: Any) -> Listed:
    id, name, kind, subject, state, created_at, parent, depth, labels = row
    own = {} if parent is None else labels_of(parent, depth, labels)
    return Listed(id, name, f"{kind.lower()}/{subject}", state, created_at, own)
