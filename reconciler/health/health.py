"""What the rows say about the health of resources: gathered here, judged by `health_rules`.

Work is looked at as far back as the newest tasks, so that the cost has a limit however long
the journal is. Reads only.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from reconciler import canary, recorded
from reconciler.delivery import rows as delivery_rows
from reconciler.health import rules as health_rules
from reconciler.health.rules import Call, Evidence, Finding, Turns, Work
from reconciler.resource import Recorded
from reconciler.schedule import rows as schedule_rows
from reconciler.schedule import settle as schedule_settle
from runner.contract import errors
from runner.contract.kinds import Agent, Key, spec_of

TASKS_MAX: Final = 200
"""How many of the newest tasks speak for their resources."""
SAID_MAX: Final = 200
_LAST: Final = "SELECT id FROM task ORDER BY id DESC LIMIT ?"


@dataclass(slots=True)
class _Rows:
    """What is known, by the key it is about."""

    missing: dict[Key, list[Key]]
    work: dict[Key, list[Work]] = field(default_factory=lambda: defaultdict(list))
    calls: dict[tuple[str, str], Call] = field(default_factory=dict)
    held_tasks: set[Key] = field(default_factory=set)
    held_owners: set[str] = field(default_factory=set)


def findings(
    connection: Connection, *, key: Key | None = None, owner: str | None = None
) -> list[Finding]:
    """How resources are: one, those of an owner, or all; what is only named comes last."""
    if key is None:
        chosen: Sequence[Recorded] = recorded.resources(connection, owner)
    else:
        chosen = list(recorded.resources_with(connection, [key]).values())
    rows = _rows(connection, chosen)
    found = [health_rules.judge(_evidence(connection, item, rows)) for item in chosen]
    named = {target: source for source, keys in rows.missing.items() for target in keys}
    ours = {item.key for item in chosen}
    lost = [(target, source) for target, source in sorted(named.items()) if source in ours]
    return found + [health_rules.missing(target, source) for target, source in lost]


def _rows(connection: Connection, chosen: Iterable[Recorded]) -> _Rows:
    rows = _Rows(_missing(connection, chosen))
    for id, namespace, kind, name, task_name, state, error in connection.exec_driver_sql(
        "SELECT id, namespace, subject_kind, subject_name, task_name, state, error FROM task"
        " ORDER BY id DESC LIMIT ?",
        (TASKS_MAX,),
    ):
        work = Work(id, state, None if error is None else error[:SAID_MAX])
        rows.work[Key(namespace, kind, name)].append(work)
        if task_name is not None:
            rows.work[Key(namespace, "Task", task_name)].append(work)
    for kind, name, phase, result in connection.exec_driver_sql(
        f"SELECT kind, name, phase, result FROM step WHERE task_id IN ({_LAST})"  # noqa: S608
        " AND phase IN ('done', 'failed') ORDER BY started_at",
        (TASKS_MAX,),
    ):
        rows.calls[(kind, name)] = Call(phase, _said(result))
    rows.held_owners = canary.holding(connection)
    for source in {owner.partition(":")[2] for owner in rows.held_owners}:
        waits = canary.waiting(connection, source)
        rows.held_tasks |= set(waits.held if waits else ())
    return rows


def _missing(connection: Connection, chosen: Iterable[Recorded]) -> dict[Key, list[Key]]:
    """What each resource names that nobody declares; agents need their default endpoint."""
    found: dict[Key, list[Key]] = defaultdict(list)
    rows = connection.exec_driver_sql(
        "SELECT from_namespace, from_kind, from_name, to_namespace, to_kind, to_name"
        " FROM reference f LEFT JOIN resource r ON (r.namespace, r.kind, r.name)"
        " = (f.to_namespace, f.to_kind, f.to_name) WHERE r.name IS NULL"
    )
    for row in rows:
        found[Key(*row[:3])].append(Key(*row[3:]))
    endpoints = set(recorded.keys(connection, "ModelEndpoint"))
    for item in chosen:
        needed = _endpoints(item) if item.key.kind == "Agent" else []
        if needed and not endpoints & {*needed} and needed[-1] not in found[item.key]:
            found[item.key].append(needed[-1])
    return {key: keys for key, keys in found.items() if keys}


def _endpoints(item: Recorded) -> list[Key]:
    """Those of which an agent needs one, the usual one last."""
    try:
        spec = spec_of("Agent", item.body)
    except errors.Refused:
        return []  # Said of the agent itself.
    assert isinstance(spec, Agent)
    return [key for key, _ in spec.candidates(item.key.namespace)]


def _evidence(connection: Connection, item: Recorded, rows: _Rows) -> Evidence:
    key = item.key
    step = {"Tool": "tool", "ModelEndpoint": "model"}.get(key.kind, "")
    scheduled = key.kind == schedule_rows.KIND
    return Evidence(
        key=key,
        body=item.body,
        missing=rows.missing.get(key, ()),
        tasks=rows.work.get(key, ()),
        call=rows.calls.get((step, key.name)),
        turns=_turns(connection, key) if scheduled else Turns(),
        refuses=_refuses(connection, key) if key.kind == delivery_rows.KIND else "",
        held=key in rows.held_tasks or (scheduled and item.owner in rows.held_owners),
    )


def _turns(connection: Connection, key: Key) -> Turns:
    manifest = schedule_rows.manifest(connection, key)
    assert manifest is not None
    try:
        schedule_settle.read(manifest)
    except (errors.Refused, ValueError) as error:
        return Turns(unreadable=str(error))
    last = schedule_rows.records(connection, key, 1)
    if not last:
        return Turns()
    if last[0].decision == "missed":
        return Turns(missed=last[0].reason or "")
    work = None if last[0].task is None else Work(last[0].task, last[0].state or "", None)
    return Turns(task=work)


def _refuses(connection: Connection, key: Key) -> str:
    standing = delivery_rows.standings(connection).get(key)
    return (standing.problem or "") if standing else ""


def _said(result: str | None) -> str:
    """What was said of a call, in a line."""
    try:
        found = json.loads(result or "null")
    except ValueError:
        return ""
    words = found.get("error") or found.get("content") if isinstance(found, Mapping) else found
    return " ".join(str(words or "").split())[:SAID_MAX]
