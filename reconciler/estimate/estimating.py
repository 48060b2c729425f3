"""Read what an estimate needs: prices as recorded and as planned, and the runs lately.

Asked only of a plan in which a prompt or a model changes, and by those who show one: a pass
does not pay for it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection

from reconciler import moved_rows, recorded
from reconciler.change import Action, Change, Plan
from reconciler.estimate.estimate import Asked, Estimate, Usage, estimate
from runner.contract import clock, errors
from runner.contract.kinds import Agent, Key, ModelEndpoint, spec_of
from runner.contract.kinds.model_endpoint import Price

DAYS: Final = 7
_DAY_US: Final = 86_400_000_000

_USED: Final = (
    "SELECT t.namespace, s.agent, count(DISTINCT s.task_id), count(*), sum(s.tokens_in),"
    " sum(s.tokens_out), min(s.started_at) FROM step s JOIN task t ON t.id = s.task_id"
    " WHERE s.task_id >= ? AND s.kind = 'model' AND s.finished_at IS NOT NULL"
    " GROUP BY t.namespace, s.agent"
)

_Bodies = Mapping[Key, str | None]


def estimates(connection: Connection, planned: Plan, now_us: int) -> dict[Key, Estimate]:
    """An estimate for each agent whose prompt or model the plan changes."""
    agents = {
        change.key: (change, before, after)
        for change in planned.changes
        if change.action in (Action.UPDATE, Action.MOVE) and change.respecified
        for before, after in [_specs(change)]
        if before is not None and after is not None
        if _asks(before) != _asks(after)
    }
    if not agents:
        return {}
    wanted = {
        key
        for key, (change, before, after) in agents.items()
        for namespace, spec in _sides(change, before, after)
        for key in _endpoints(namespace, spec)
    }
    have: dict[Key, str | None] = {
        key: item.body for key, item in recorded.resources_with(connection, wanted).items()
    }
    will: dict[Key, str | None] = have | _planned(planned.changes)
    used = _used(connection, now_us)
    found: dict[Key, Estimate] = {}
    for key, (change, before, after) in agents.items():
        old, new = (
            _asked(namespace, spec, bodies)
            for (namespace, spec), bodies in zip(
                _sides(change, before, after), (have, will), strict=True
            )
        )
        names = [key, *moved_rows.former(connection, key)]
        names += [change.previous] if change.previous else []
        made = estimate(old, new, _together(used, names, now_us))
        if made is not None:
            found[key] = made
    return found


def _specs(change: Change) -> tuple[Agent | None, Agent | None]:
    if change.key.kind != "Agent" or change.before is None or change.after is None:
        return None, None
    try:
        old, new = (spec_of("Agent", side.body) for side in (change.before, change.after))
    except errors.Refused:
        return None, None
    assert isinstance(old, Agent)
    assert isinstance(new, Agent)
    return old, new


def _asks(spec: Agent) -> tuple[str, str | None, str | None]:
    return spec.prompt, spec.model, spec.model_ref


def _sides(change: Change, before: Agent, after: Agent) -> list[tuple[str, Agent]]:
    old = change.previous or change.key
    return [(old.namespace, before), (change.key.namespace, after)]


def _endpoints(namespace: str, spec: Agent) -> list[Key]:
    """Where its model may be declared: the endpoint of the model's own name comes first."""
    key, model = spec.endpoint(namespace)
    return [key] if model is None else [Key(namespace, "ModelEndpoint", model), key]


def _planned(changes: Iterable[Change]) -> dict[Key, str | None]:
    found: dict[Key, str | None] = {}
    for change in changes:
        if change.previous is not None:
            found[change.previous] = None
        found[change.key] = change.after.body if change.after is not None else None
    return found


def _asked(namespace: str, spec: Agent, bodies: _Bodies) -> Asked:
    _, model = spec.endpoint(namespace)
    for key in _endpoints(namespace, spec):
        body = bodies.get(key)
        if body is None:
            continue
        try:
            endpoint = spec_of("ModelEndpoint", body)
        except errors.Refused:
            break
        assert isinstance(endpoint, ModelEndpoint)
        named_alike = model is not None and key.name == model
        name = endpoint.default_model if model is None or named_alike else model
        return Asked(spec.prompt, name, _price(endpoint, name))
    return Asked(spec.prompt, model or spec.model_ref or "", None)


def _price(endpoint: ModelEndpoint, model: str) -> Price | None:
    return endpoint.prices.get(model, endpoint.prices.get("*"))


def _used(connection: Connection, now_us: int) -> list[tuple[str, str, Usage, int]]:
    """Per namespace of the task and name of the agent in it: what was used, and since when."""
    since = clock.first_id(max(0, now_us - DAYS * _DAY_US))
    return [
        (
            *(row[0], row[1]),
            Usage(
                runs=row[2],
                calls=row[3],
                tokens_in=int(row[4] or 0),
                tokens_out=int(row[5] or 0),
            ),
            row[6],
        )
        for row in connection.exec_driver_sql(_USED, (since,))
    ]


def _together(
    used: Iterable[tuple[str, str, Usage, int]], keys: Iterable[Key], now_us: int
) -> Usage:
    """What an agent used under all its names. A day at least, so that one run is no trend."""
    names = {(key.namespace, key.name) for key in keys}
    rows = [
        (usage, first_us)
        for namespace, agent, usage, first_us in used
        if (namespace, agent) in names or tuple(agent.split("/", 1)) in names
    ]
    if not rows:
        return Usage(days=float(DAYS))
    span = max(now_us - min(first_us for _, first_us in rows), _DAY_US) / _DAY_US
    return Usage(
        runs=sum(usage.runs for usage, _ in rows),
        calls=sum(usage.calls for usage, _ in rows),
        tokens_in=sum(usage.tokens_in for usage, _ in rows),
        tokens_out=sum(usage.tokens_out for usage, _ in rows),
        days=round(min(span, float(DAYS)), 2),
    )
