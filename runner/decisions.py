"""What people decide about tasks: cancel, resolve, retry, drop. The one place that writes it.

    waiting or leased ──cancel──> cancelled
    unknown_outcome ──resolve──> pending                  after the call, or with it again
    failed, dead, cancelled, dropped ──retry──> pending, or unknown_outcome: a call is open
    failed, dead ──drop──> dropped                        everything of it is kept

Every function runs inside the caller's write transaction and writes its audit entries in
it; after the commit the caller knocks at the runner. A task in any other state is Refused,
with its state and the command that fits, and nothing is changed of any task named with it.

A cancelled task leaves `leased` with its fence, so every later write of its worker changes
nothing; the dispatcher then has the worker cut off what it is doing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner.agent import Step
from runner.approval import approvals
from runner.contract import audit
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType, canonical
from runner.contract.errors import NotFound, Refused
from runner.contract.task_state import FINISHED, TaskState
from runner.journal import Journal
from runner.limit.settlements import Settlements
from runner.pinning import Pins
from runner.task_record import Decided, shown_state

CONFIRMED: Final = "A person confirmed that this call ran. What it answered is not known."

_CANCELLABLE: Final = frozenset(TaskState) - FINISHED
_RESOLVABLE: Final = frozenset({TaskState.UNKNOWN_OUTCOME})
_RETRIABLE: Final = FINISHED - {TaskState.SUCCEEDED}
_DROPPABLE: Final = frozenset({TaskState.FAILED, TaskState.DEAD})


@dataclass(frozen=True, slots=True)
class _Task:
    id: str
    state: TaskState
    fence: int
    commit: str | None
    manifests: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Which dead letters: ended before a time; failed tasks too; of one agent or system."""

    before_us: int
    failed: bool = False
    namespace: str | None = None
    name: str | None = None


def cancel(
    connection: Connection, ids: Sequence[str], *, actor: str, now_us: int, because: str = ""
) -> list[Decided]:
    """Stop tasks that are not finished; `step` and `call` say what was under way.

    `because` says why, where it was not a person who thought of it.
    """
    why = f": {because}" if because else ""
    decided: list[Decided] = []
    entries: list[Entry] = []
    for task in _admitted(connection, ids, _CANCELLABLE, "cancelled"):
        call = _under_way(connection, task) if task.state is TaskState.LEASED else None
        _end(connection, task, now_us)
        entries += _closed(connection, task, actor, now_us)
        if call is not None and _open_call(connection, task) is not None:
            reason = f"cancelled by {actor} during the call"
            facts = {"reason": reason, "outcome": "unknown", "tool": call.name}
            entries.append(_entry(EntryType.ACTION_UNKNOWN, task, actor, call, **facts))
        facts = {"reason": f"was {shown_state(task.state)}{why}", "outcome": "cancelled"}
        entries.append(_entry(EntryType.TASK_CANCELLED, task, actor, call, **facts))
        decided.append(_decided(task, TaskState.CANCELLED, call))
    # What ends a task is the last that is said of it: that entry says how many there are.
    withdrawn = approvals.withdraw(connection, [one.id for one in decided], actor, now_us)
    audit.append(connection, [*withdrawn, *entries], now_us)
    return decided


def resolve(
    connection: Connection,
    task_id: str,
    *,
    ran: bool,
    result: str | None,
    actor: str,
    now_us: int,
) -> Decided:
    """Say of an interrupted call that it ran, and what came of it, or that it did not."""
    (task,) = _admitted(connection, [task_id], _RESOLVABLE, "resolved")
    call = _open_call(connection, task)
    if call is None:
        raise Refused(f"the journal of task {task.id} has no open call; `orloj cancel` ends it")
    private: tuple[tuple[str, Any], ...] = ()
    if ran:
        answer = {"content": CONFIRMED if result is None else result}
        private = (("result", answer),)
        connection.exec_driver_sql(
            "UPDATE step SET phase = 'done', result = ?, finished_at = ?"
            " WHERE task_id = ? AND number = ? AND phase = 'begun'",
            (canonical(answer), now_us, task.id, call.number),
        )
    else:
        # Gone, so that a worker that dies before it calls again is not taken for one that
        # died while calling. The log keeps what was asked for.
        connection.exec_driver_sql(
            "DELETE FROM step WHERE task_id = ? AND number = ? AND phase = 'begun'",
            (task.id, call.number),
        )
    # Agents of a system work beside each other: another may have been in a call as well.
    other = _open_call(connection, task)
    state = TaskState.PENDING if other is None else TaskState.UNKNOWN_OUTCOME
    connection.exec_driver_sql(
        "UPDATE task SET state = ?, error = ?, run_at = ? WHERE id = ?",
        (state.value, None if other is None else _stopped_during(other), now_us, task.id),
    )
    facts = {"outcome": "ran" if ran else "not_ran", "tool": call.name, "private": private}
    audit.append(
        connection, [_entry(EntryType.TASK_RESOLVED, task, actor, call, **facts)], now_us
    )
    return _decided(task, state, call)


def retry(
    connection: Connection, ids: Sequence[str], *, actor: str, now_us: int
) -> list[Decided]:
    """Queue finished tasks again, with budgets as new; what their journals hold stands.

    A task that was stopped during a call that may not be repeated waits for a person.
    """
    decided: list[Decided] = []
    entries: list[Entry] = []
    for task in _admitted(connection, ids, _RETRIABLE, "retried"):
        call = _open_call(connection, task)
        state, error = TaskState.PENDING, None
        if call is not None:
            state = TaskState.UNKNOWN_OUTCOME
            error = _stopped_during(call)
        connection.exec_driver_sql(
            "UPDATE task SET state = ?, error = ?, output = NULL, attempt = 0, crashes = 0,"
            " run_at = ?, finished_at = NULL WHERE id = ?",
            (state.value, error, now_us, task.id),
        )
        facts = {"reason": f"was {task.state.value}", "outcome": state.value}
        entries.append(_entry(EntryType.TASK_RETRIED, task, actor, call, **facts))
        decided.append(_decided(task, state, call))
    audit.append(connection, entries, now_us)
    return decided


def _stopped_during(call: Step) -> str:
    return (
        f"stopped during the call of {call.name} (step {call.number}), which is not"
        " declared idempotent: whether it happened is unknown"
    )


def drop(
    connection: Connection, ids: Sequence[str], *, actor: str, now_us: int
) -> list[Decided]:
    """Put dead letters away (docs/decisions, 9): nothing of them is deleted."""
    admitted = _admitted(connection, ids, _DROPPABLE, "dropped")
    entries: list[Entry] = []
    for task in admitted:
        connection.exec_driver_sql("UPDATE task SET state = 'dropped' WHERE id = ?", (task.id,))
        facts = {"reason": f"was {task.state.value}", "outcome": "dropped"}
        entries.append(_entry(EntryType.TASK_DROPPED, task, actor, None, **facts))
    audit.append(connection, entries, now_us)
    return [_decided(task, TaskState.DROPPED, None) for task in admitted]


def letters(connection: Connection, wanted: Letters, limit: int) -> list[str]:
    """The ids of dead letters, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT id FROM task WHERE state IN ('failed', 'dead') AND state IN ('dead', ?)"
        " AND finished_at <= ?"
        " AND (CAST(? AS TEXT) IS NULL OR subject_name = ?)"
        " AND (CAST(? AS TEXT) IS NULL OR namespace = ?)"
        " ORDER BY id LIMIT ?",
        ("failed" if wanted.failed else "dead", wanted.before_us, wanted.name, wanted.name)
        + (wanted.namespace, wanted.namespace, limit),
    )
    return [str(row[0]) for row in rows]


def _admitted(
    connection: Connection, ids: Sequence[str], states: frozenset[TaskState], verb: str
) -> list[_Task]:
    found = _loaded(connection, ids)
    wrong = [task for task in found if task.state not in states]
    if wrong:
        reasons = "; ".join(
            f"task {task.id} is {shown_state(task.state)} and cannot be {verb}"
            f" ({_fitting(task)})"
            for task in wrong[:5]
        )
        raise Refused(f"{reasons}. Nothing was changed")
    return found


def _fitting(task: _Task) -> str:
    if task.state is TaskState.UNKNOWN_OUTCOME:
        return f"decide with `orloj task resolve {task.id} --ran` or `--not-ran`"
    if task.state in _RETRIABLE:
        return f"`orloj retry {task.id}` queues it again"
    if task.state in _CANCELLABLE:
        return f"`orloj cancel {task.id}` stops it"
    return "`orloj run AGENT` starts a new one"


def _loaded(connection: Connection, ids: Sequence[str]) -> list[_Task]:
    """The tasks in the order given, locked in the order of their ids, as everybody does."""
    tasks = {id: _load(connection, id) for id in sorted(set(ids))}
    return [tasks[id] for id in dict.fromkeys(ids)]


def _load(connection: Connection, task_id: str) -> _Task:
    row = connection.exec_driver_sql(
        "SELECT id, state, fence, commit_sha, manifest_set FROM task WHERE id = ? /* lock */",
        (task_id,),
    ).one_or_none()
    if row is None:
        raise NotFound(f"no task {task_id!r}; `orloj tasks` lists them")
    return _Task(row[0], TaskState(row[1]), row[2], row[3], row[4])


def _end(connection: Connection, task: _Task, now_us: int) -> None:
    connection.exec_driver_sql(
        "UPDATE task SET state = 'cancelled', finished_at = ?, holder = NULL,"
        " lease_host = NULL, lease_until = NULL WHERE id = ?",
        (now_us, task.id),
    )
    connection.exec_driver_sql(
        "UPDATE attempt SET ended_at = ?, outcome = 'cancelled'"
        " WHERE task_id = ? AND fence = ? AND ended_at IS NULL",
        (now_us, task.id, task.fence),
    )


def _closed(connection: Connection, task: _Task, actor: str, now_us: int) -> list[Entry]:
    """Charge what a cancelled task leaves open, and let those go on who waited for room."""
    entries: list[Entry] = []
    about = _entry(EntryType.TOKENS_SETTLED, task, actor, None)
    Settlements(connection, Pins(connection), entries.extend).close_about(
        about, now_us, over=True
    )
    return entries


def _journal(connection: Connection) -> Journal:
    return Journal(connection, Pins(connection), lambda _: None)


def _under_way(connection: Connection, task: _Task) -> Step | None:
    begun = [step for step in _journal(connection).steps(task.id) if step.phase == "begun"]
    return begun[0] if begun else None


def _open_call(connection: Connection, task: _Task) -> Step | None:
    if task.manifests is None:
        return None  # No worker ever had it.
    return _journal(connection).open_call(task.id, task.manifests)


def _entry(kind: EntryType, task: _Task, actor: str, call: Step | None, **facts: Any) -> Entry:
    if call is not None:
        facts |= {"step": call.number, "agent": call.agent}
    return Entry(
        type=kind,
        actor=actor,
        commit=task.commit or NO_COMMIT,
        task=task.id,
        attempt=task.fence,
        manifests=task.manifests,
        **facts,
    )


def _decided(task: _Task, state: TaskState, call: Step | None) -> Decided:
    number, name = (None, None) if call is None else (call.number, call.name)
    return Decided(task.id, shown_state(task.state), shown_state(state), number, name)
