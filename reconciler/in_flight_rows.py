"""The tasks in flight, and under which resources they work: read, awaited, cancelled.

    task ──manifest_set──> manifest set ──holds──> resources
      └──task_name, subject──> Task

In flight is what began and is not finished: running, parked, or to be started again. Each
statement goes by an index of such tasks, so that the cost follows them and not the history.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from reconciler import in_flight
from reconciler.change import Change
from reconciler.impact import InFlight
from reconciler.in_flight import Awaited, Cancel
from runner.contract import errors
from runner.contract.kinds import Key, Task, spec_of
from runner.contract.task_state import FINISHED

READ_MAX: Final = 10_000
"""Tasks that are read for a person; who cancels reads them all."""
_SETS_AT_ONCE: Final = 100
_COLUMNS: Final = (
    "id, state, commit_sha, manifest_set, namespace, subject_kind, subject_name, task_name"
)
_STATES: Final = (
    "state = 'leased'",
    "state IN ('backing_off', 'waiting_approval', 'waiting_tokens')",
    "state IN ('pending', 'unknown_outcome') AND manifest_set IS NOT NULL",
)
IN_FLIGHT: Final = " UNION ALL ".join(
    f"SELECT {_COLUMNS} FROM task WHERE {state}"  # noqa: S608
    for state in _STATES
)
_FINISHED: Final = ", ".join(f"'{state.value}'" for state in sorted(FINISHED))
_HOLD: Final = (
    "SELECT id FROM task WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    f" AND state NOT IN ({_FINISHED}) ORDER BY id /* lock */"
)


@dataclass(frozen=True, slots=True)
class TaskInFlight:
    """A task that began: its state, the commit and manifests it works under, and for what."""

    id: str
    state: str
    commit: str | None
    manifests: str | None
    subject: Key
    task_name: str | None


def tasks(connection: Connection, limit: int | None = None) -> list[TaskInFlight]:
    """The tasks in flight, `limit` of them."""
    rows = (
        connection.exec_driver_sql(IN_FLIGHT)
        if limit is None
        else connection.exec_driver_sql(f"{IN_FLIGHT} LIMIT ?", (limit,))
    )
    return [
        TaskInFlight(id, state, commit, manifests, Key(*subject), task_name)
        for id, state, commit, manifests, *subject, task_name in rows
    ]


def under(
    connection: Connection, found: Sequence[TaskInFlight], changes: Iterable[Change]
) -> dict[Key, list[TaskInFlight]]:
    """Which of the tasks work under each changed resource; those without any are left out."""
    asked = {change.standing: change for change in changes if change.before is not None}
    if not found or not asked:
        return {}
    sets = _sets(connection, {task.manifests for task in found if task.manifests}, asked)
    work: dict[tuple[str, Key], Key] = {
        (key.name, subject): key
        for key, change in asked.items()
        if key.kind == "Task" and (subject := worker_of(change)) is not None
    }
    by_key: dict[Key, list[TaskInFlight]] = {}
    for task in found:
        keys = set(sets.get(task.manifests or "", ()))
        declared = work.get((task.task_name or "", task.subject))
        for key in keys | ({declared} if declared else set()):
            by_key.setdefault(key, []).append(task)
    return by_key


def _sets(
    connection: Connection, digests: Collection[str], wanted: Collection[Key]
) -> Mapping[str, frozenset[Key]]:
    """Which of the wanted resources stand in each manifest set."""
    held: dict[str, frozenset[Key]] = {}
    waiting = iter(sorted(digests))
    while batch := list(islice(waiting, _SETS_AT_ONCE)):
        for digest, content in connection.exec_driver_sql(
            "SELECT digest, content FROM manifest_set"
            " WHERE digest IN (SELECT value FROM json_each(?))",
            (json.dumps(batch),),
        ):
            keys = (Key(*placed[0]) for placed in json.loads(content)["resources"])
            held[digest] = frozenset(key for key in keys if key in wanted)
    return held


def worker_of(change: Change) -> Key | None:
    """Whom a Task gave its work to, as it is recorded; None where nobody can tell."""
    if change.before is None:
        return None
    try:
        spec = spec_of("Task", change.before.body)
    except errors.Refused:
        return None
    assert isinstance(spec, Task)
    return spec.subject(change.standing.namespace)


def awaited(
    connection: Connection, source: str, changes: Sequence[Change], now_us: int
) -> tuple[Awaited, ...]:
    """What the changes that drain wait for, and since when they do.

    Not for what another change of the same plan cancels.
    """
    drained = in_flight.asking(changes, InFlight.DRAIN)
    if not drained:
        return ()
    halted = in_flight.asking(changes, InFlight.CANCEL)
    since = _since(connection, source)
    found = under(connection, tasks(connection, READ_MAX), [*drained, *halted])
    ended = {task.id for change in halted for task in found.get(change.standing, ())}
    waits = []
    for change in drained:
        key = change.standing
        since_us = since.get(key, now_us)
        ids = sorted({task.id for task in found.get(key, ())} - ended)
        until_us = since_us + in_flight.drain_us(change)
        if ids:
            waits.append(
                Awaited(key=key, tasks=tuple(ids), since_us=since_us, until_us=until_us)
            )
    return tuple(waits)


def note(connection: Connection, source: str, waits: Sequence[Awaited]) -> None:
    """Keep what is awaited now, and forget what is not any more."""
    gone = _since(connection, source).keys() - {wait.key for wait in waits}
    if gone:
        connection.exec_driver_sql(
            "DELETE FROM drain WHERE source = ? AND namespace = ? AND kind = ? AND name = ?",
            [(source, *key) for key in sorted(gone)],
        )
    if waits:
        connection.exec_driver_sql(
            "INSERT INTO drain (source, namespace, kind, name, since_at, until_at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source, namespace, kind, name)"
            " DO UPDATE SET until_at = excluded.until_at",
            [(source, *wait.key, wait.since_us, wait.until_us) for wait in waits],
        )


def draining(connection: Connection, source: str) -> bool:
    """Whether anything of the repository is kept as awaited."""
    return bool(_since(connection, source))


def _since(connection: Connection, source: str) -> dict[Key, int]:
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name, since_at FROM drain WHERE source = ?", (source,)
    )
    return {Key(*row[:3]): row[3] for row in rows}


def hold(connection: Connection, changes: Iterable[Change]) -> None:
    """Keep the tasks that an apply will cancel from everybody else; its first statement.

    A dispatcher holds its tasks before it looks at the state: who takes them in the other
    order waits for it, and it for them.
    """
    halted = in_flight.asking(changes, InFlight.CANCEL)
    if halted:
        found = under(connection, tasks(connection), halted)
        _held(connection, {task.id for group in found.values() for task in group})


def cancel(
    connection: Connection,
    changes: Iterable[Change],
    act: Cancel | None,
    *,
    actor: str,
    commit: str,
    now_us: int,
) -> list[str]:
    """Cancel the tasks in flight whose resource asks for it; their ids.

    After the state is advanced: from then on nobody begins under what was before. Refused
    where nobody said how to cancel.
    """
    halted = {change.standing: change for change in in_flight.asking(changes, InFlight.CANCEL)}
    if not halted:
        return []
    found = under(connection, tasks(connection), halted.values())
    done: dict[str, None] = {}
    for key, group in found.items():
        ids = _held(connection, {task.id for task in group} - done.keys())
        if not ids:
            continue
        if act is None:
            raise errors.Refused(
                f"{len(ids)} tasks in flight are to be cancelled when {key} changes, which is"
                " done by the daemon or orloj reconcile"
            )
        verb = "changed" if halted[key].after is not None else "was deleted"
        because = f"{key} {verb} in commit {commit}, which cancels tasks in flight"
        act(connection, ids, actor=actor, now_us=now_us, because=because)
        done |= dict.fromkeys(ids)
    return list(done)


def _held(connection: Connection, ids: Collection[str]) -> list[str]:
    """Those that are not finished; they stay so until the transaction ends."""
    if not ids:
        return []
    rows = connection.exec_driver_sql(_HOLD, (json.dumps(sorted(ids)),))
    return [str(row[0]) for row in rows]
