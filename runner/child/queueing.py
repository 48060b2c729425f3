"""What the dispatcher does for `orloj.task.create` and `orloj.task.list`.

    the step that was decided ─> queued already? ─> bounds ─> template ─> queue, log, write down

What is carried out is what the journal holds: the call that the guard allowed, and not what a
worker says now. A step has one child: whoever asks again, after whatever died, is told it.
Runs inside the dispatcher's write transaction.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from runner.child import bounds, rows
from runner.child.rows import Template
from runner.claim import Held, entry
from runner.contract import clock, submission
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.builtin import TASK_CREATE
from runner.contract.errors import Refused
from runner.contract.kinds import Key, Task, spec_of
from runner.governance import policies
from runner.manifest_set import ManifestSet, PlacedAgent

_BEGUN: Final = (
    "SELECT agent, name, request FROM step WHERE task_id = ? AND number = ? AND fence = ?"
    " AND phase = 'begun' AND kind = 'tool'"
)
LISTED: Final = 20
LISTED_MAX: Final = 100
LABELS_MAX: Final = 32
TEXT_MAX: Final = 262_144
_LABEL_MAX: Final = 256
_OURS: Final = "orloj.dev/"
_PHASES: Final = {"pending": "Pending", "leased": "Running", "running": "Running"}


@dataclass(frozen=True, slots=True)
class _Step:
    """A call that was allowed and has not ended."""

    held: Held
    number: int
    manifests: ManifestSet
    agent: PlacedAgent
    arguments: dict[str, Any]


def answer(
    connection: Connection,
    held: Held,
    number: int,
    manifests: ManifestSet,
    log: Callable[[list[Entry]], None],
    *,
    now_us: int,
) -> dict[str, Any]:
    """`content` for the agent to read, or `error`."""
    found = connection.exec_driver_sql(_BEGUN, (held.task, number, held.fence)).one_or_none()
    if found is None:
        return {"error": "no such call is under way"}
    agent, name, request = found
    arguments = json.loads(request)["arguments"]
    step = _Step(held, number, manifests, manifests.agent(agent), arguments)
    try:
        if name == TASK_CREATE:
            said = _create(connection, step, log, now_us)
        else:
            said = _list(connection, step)
    except Refused as refused:
        return {"error": str(refused)}
    return {"content": json.dumps(said, ensure_ascii=False, sort_keys=True)}


def _create(
    connection: Connection, step: _Step, log: Callable[[list[Entry]], None], now_us: int
) -> dict[str, Any]:
    held, number = step.held, step.number
    key = Key(step.agent.key.namespace, "Task", _name(step.arguments))
    found, task = _template(connection, key)
    known = rows.child(connection, held.task, number)
    if known is None:
        family = rows.family(connection, held.task)
        applying = policies.applying(step.manifests, step.agent, held.task_name)
        why = bounds.exceeded(family, bounds.of(spec for _, spec in applying))
        if why is not None:
            raise Refused(why)
        labels = _texts(step.arguments, "labels", LABELS_MAX, _LABEL_MAX)
        if any(name.startswith(_OURS) for name in labels):
            raise Refused(f"labels that begin with {_OURS} are Orloj's own")
        work = submission.of_task(key, task, f"task:{held.task}")
        given = _texts(step.arguments, "input", None, TEXT_MAX)
        work = replace(work, input=work.input | given)
        commit = found.commit or held.commit
        (known,), entries = submission.queue(connection, [work], commit, now_us)
        rows.save(connection, (held.task, number), known, family, labels, now_us=now_us)
        log([*entries, _queued(step, key, found, known)])
    return {
        "status": "created",
        "name": known,
        "phase": "Pending",
        "template": key.name,
        "system" if task.system else "agent": task.system or task.agent,
    }


def _queued(step: _Step, key: Key, found: Template, child: str) -> Entry:
    """The entry of the parent: which step of it queued what, from which line."""
    return entry(
        EntryType.TASK_CHILD_QUEUED,
        step.held,
        step=step.number,
        agent=step.manifests.called(step.agent),
        tool=TASK_CREATE,
        rule=found.place,
        resource=str(key),
        outcome=child,
    )


def _template(connection: Connection, key: Key) -> tuple[Template, Task]:
    found = rows.template(connection, key)
    if found is None:
        raise Refused(f"there is no Task {key.name} in the namespace {key.namespace}")
    task = spec_of("Task", found.body)
    assert isinstance(task, Task)
    if task.mode != "template":
        raise Refused(f"the Task {key.name} is no template: its mode is {task.mode}")
    return found, task


def _name(arguments: dict[str, Any]) -> str:
    name = arguments.get("template")
    if not isinstance(name, str) or not name or "/" in name:
        raise Refused("template is the name of a Task of this agent's namespace")
    return name


def _texts(
    arguments: dict[str, Any], field: str, count_max: int | None, length_max: int
) -> dict[str, str]:
    value = arguments.get(field) or {}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise Refused(f"{field} is an object of texts")
    if count_max is not None and len(value) > count_max:
        raise Refused(f"{field} has more than {count_max} members")
    for name, text in value.items():
        if not name or len(name) > _LABEL_MAX or len(text) > length_max:
            raise Refused(f"a member of {field} is too long: {length_max} characters at most")
    return dict(value)


def _list(connection: Connection, step: _Step) -> dict[str, Any]:
    limit = step.arguments.get("limit", LISTED)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LISTED_MAX:
        raise Refused(f"limit is a whole number from 1 to {LISTED_MAX}")
    wanted = _texts(step.arguments, "labels", LABELS_MAX, _LABEL_MAX)
    found = rows.listed(connection, step.agent.key.namespace, wanted, limit)
    return {
        "tasks": [
            {
                "name": one.id,
                "template": one.template,
                "subject": one.subject,
                "phase": _PHASES.get(one.state, one.state.title().replace("_", "")),
                "created_at": clock.iso(one.created_at),
                "labels": dict(one.labels),
            }
            for one in found
        ]
    }
