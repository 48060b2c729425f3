"""What a change reaches, read from the record: the agents it touches and all they name.

    changed ──who names it──> agents ──who names them──> systems        upwards
    agents, systems ──what they name──> agents, tools, roles            downwards

The cost follows the change: an agent that nothing changed leads to is not read. Reads only.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from reconciler import recorded
from reconciler.change import Action, Change, Plan
from reconciler.gate import protection
from reconciler.governance import comparison
from reconciler.governance.flow import PRIVATE_LABEL
from reconciler.governance.world import Declared, World
from reconciler.problem import Problem
from reconciler.resource import Resource
from runner.contract.kinds import DataSource, Key, Namespace

_BATCH: Final = 250  # Three variables a key; SQLite takes at least 999 in a statement.
_LEVELS_MAX: Final = 3  # A tool, an agent that names it, a system that names that.
_PEOPLE: Final = frozenset({"Agent", "AgentSystem"})
_NAMED: Final = comparison.GOVERNED | {"Task"}
"""Kinds that rules speak of, by name."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The world before and after a change, as far as it reaches."""

    before: World
    after: World
    changed: frozenset[Key]
    reached: frozenset[Key]
    moved: Mapping[Key, Key] = field(default_factory=dict)
    """The former key of what goes on under another name, by the new one."""

    def judge(self, planned: Plan, today: date) -> tuple[Plan, list[Problem]]:
        """The plan with what it means, and what is wrong with what it would make."""
        findings = comparison.compare(self.before, self.after, self.changed, self.moved)
        findings = comparison.in_order([*findings, *protection.findings(planned.changes)])
        problems = comparison.risks(self.after, self.reached, today)
        return replace(planned, findings=findings), problems


def look(
    connection: Connection, desired: Mapping[Key, Resource], changes: Sequence[Change]
) -> Surroundings:
    """What the changes to these resources reach."""
    governed = [change for change in changes if change.key.kind in comparison.GOVERNED]
    moved = {
        change.key: change.previous
        for change in changes
        if change.previous and change.key.kind in _NAMED
    }
    changed = frozenset(change.key for change in governed if change.respecified)
    changed |= moved.keys()
    touched = {key for key in desired if key.kind in _PEOPLE} | changed | {*moved.values()}
    if not touched:
        nothing = World({})
        return Surroundings(before=nothing, after=nothing, changed=changed, reached=frozenset())
    gone = {change.key for change in governed if change.action is Action.DELETE}
    gone |= {*moved.values()}
    overlay = {key: declared(resource) for key, resource in desired.items()}
    reached = _upwards(connection, touched, [overlay[key] for key in changed & overlay.keys()])
    have = _declared_with(connection, reached | changed)
    if moved:
        have |= _rules_by_name(connection)
    _downwards(connection, have, overlay)
    after = {key: item for key, item in (have | overlay).items() if key not in gone}
    # What moved is compared with itself, and so stands under both its names before.
    former = {key: replace(have[old], key=key) for key, old in moved.items() if old in have}
    return Surroundings(
        before=World(have | former),
        after=World(after),
        changed=changed,
        reached=frozenset(key for key in reached if key.kind in _PEOPLE and key in after),
        moved=moved,
    )


def declared(resource: Resource) -> Declared:
    """A resource of a commit, as findings look at it."""
    return Declared(resource.key, resource.body, resource.path, resource.line, resource.lines)


def _upwards(
    connection: Connection, touched: Iterable[Key], changed: Iterable[Declared]
) -> set[Key]:
    """The keys themselves, and the agents and systems that lead to them."""
    reached = set(touched)
    for item in changed:
        if isinstance(item.spec, DataSource) and PRIVATE_LABEL in item.spec.labels:
            reached |= _granted(connection, item.key)
        elif isinstance(item.spec, Namespace):
            reached |= _systems(connection, item.key.namespace)
    fresh = set(reached)
    for _ in range(_LEVELS_MAX):
        named_by = {source for _, source in recorded.naming(connection, fresh)}
        fresh = {key for key in named_by if key.kind in _PEOPLE} - reached
        reached |= fresh
    return reached


def _downwards(
    connection: Connection, have: dict[Key, Declared], overlay: Mapping[Key, Declared]
) -> None:
    """Add what is named by what we have, and what is named by that, on either side."""
    seen: set[Key] = set()
    for _ in range(_LEVELS_MAX):
        items = [*have.values(), *overlay.values()]
        wanted = {
            reference.target
            for item in items
            if item.key.kind in _PEOPLE and item.spec is not None
            for reference in item.spec.references(item.key.namespace)
            if reference.target.kind in comparison.GOVERNED
        } | {_tool_of(item) for item in items if item.key.kind == "ToolPermission"}
        missing = wanted - have.keys() - seen
        if not missing:
            break
        seen |= missing
        have |= _declared_with(connection, missing)
    namespaces = {key.namespace for key in [*have, *overlay] if key.kind in _PEOPLE}
    have |= {item.key: item for item in _around(connection, namespaces)}


def _tool_of(item: Declared) -> Key:
    ref = getattr(item.spec, "tool_ref", None)
    return Key(item.key.namespace, "Tool", ref or item.key.name)


def _declared_with(connection: Connection, keys: Iterable[Key]) -> dict[Key, Declared]:
    """The resources with these keys; missing ones are left out."""
    found: dict[Key, Declared] = {}
    for batch in _batches(keys):
        marks = ", ".join("(?, ?, ?)" for _ in batch)
        rows = connection.exec_driver_sql(
            f"WITH wanted (in_namespace, of_kind, named) AS (VALUES {marks})"  # noqa: S608
            " SELECT namespace, kind, name, body, path, line, lines FROM wanted JOIN resource"
            " ON (namespace, kind, name) = (in_namespace, of_kind, named)",
            tuple(part for key in batch for part in key),
        )
        found.update((item.key, item) for item in map(_declared, rows))
    return found


def _granted(connection: Connection, source: Key) -> set[Key]:
    """The agents and roles of a namespace whose grants may name a source of data."""
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name FROM resource WHERE kind IN ('Agent', 'AgentRole')"
        " AND namespace = ? AND (body LIKE ? OR body LIKE '%*%')",
        (source.namespace, f"%{source.name}%"),
    )
    return {Key(*row) for row in rows}


def _systems(connection: Connection, namespace: str) -> set[Key]:
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name FROM resource WHERE kind = 'AgentSystem'"
        " AND namespace = ?",
        (namespace,),
    )
    return {Key(*row) for row in rows}


def _around(connection: Connection, namespaces: Iterable[str]) -> Iterator[Declared]:
    """The rules of namespaces, and their data that is labelled private."""
    for batch in _batches(namespaces):
        marks = ", ".join("?" for _ in batch)
        for row in connection.exec_driver_sql(
            "SELECT namespace, kind, name, body, path, line, lines FROM resource"  # noqa: S608
            " WHERE kind IN ('Namespace', 'DataSource')"  # By the index of kinds, not all rows.
            f" AND namespace IN ({marks}) AND (kind = 'Namespace' OR body LIKE ?)",
            (*batch, f"%{PRIVATE_LABEL}%"),
        ):
            yield _declared(row)


def _rules_by_name(connection: Connection) -> dict[Key, Declared]:
    """The policies and rules that name whom they are about, wherever they stand."""
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name, body, path, line, lines FROM resource"
        " WHERE kind IN ('AgentPolicy', 'ToolPermission')"
    )
    return {item.key: item for item in map(_declared, rows)}


def _declared(row: Sequence[Any]) -> Declared:
    return Declared(Key(*row[:3]), row[3], row[4], row[5], json.loads(row[6]))


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
