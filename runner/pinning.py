"""The manifests that tasks are pinned to: resolved when a task first starts, then kept."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from runner.claim import Claimable
from runner.contract import kinds
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.errors import NotFound
from runner.contract.kinds import Agent, AgentRole, Key, Permission, Spec
from runner.manifest_set import ManifestSet, Placed, from_text

SETS_MAX: Final = 256  # Kept in memory; the rest is read again when it is needed.


class Pins:
    """Manifest sets on one held connection, each resolved once per state of the record."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sets: OrderedDict[str, ManifestSet] = OrderedDict()
        self._resolved: dict[Key, tuple[str, str]] = {}
        self._serial = -1

    def look(self) -> None:
        """Notice what was applied since; before the first `pin` of a transaction."""
        serial = _serial(self._connection)
        if serial != self._serial:
            self._resolved.clear()
            self._serial = serial

    def pin(self, task: Claimable) -> tuple[str, str]:
        """The digest of a task's set, and its commit; NotFound when its subject is gone."""
        if task.manifest_set is not None and task.commit is not None:
            return task.manifest_set, task.commit
        if task.subject not in self._resolved:
            manifests, commit = resolve(self._connection, task.subject)
            text = manifests.to_text()
            digest = kinds.digest(text)
            _save_set(self._connection, digest, text)
            self._keep(digest, manifests)
            self._resolved[task.subject] = (digest, commit)
        return self._resolved[task.subject]

    def load(self, digest: str) -> ManifestSet:
        """A set by its digest."""
        if digest not in self._sets:
            self._keep(digest, from_text(_load_set(self._connection, digest)))
        self._sets.move_to_end(digest)
        return self._sets[digest]

    def forget(self) -> None:
        """Drop what was resolved in a transaction that did not come about."""
        self._resolved.clear()

    def _keep(self, digest: str, manifests: ManifestSet) -> None:
        self._sets[digest] = manifests
        while len(self._sets) > SETS_MAX:
            self._sets.popitem(last=False)


def resolve(connection: Connection, subject: Key) -> tuple[ManifestSet, str]:
    """The set of a subject as recorded now, and the commit it stands at; NotFound.

    Follows every reference from the subject; what is named and not declared is left out,
    and denied or refused when it is needed. Rules that apply without being named come along,
    and the data sources that somebody in the set is granted.
    """
    resources: dict[Key, Placed] = {}
    owner = _follow(connection, resources, [subject])
    if subject not in resources:
        raise NotFound(f"{subject} is not declared any more")
    namespaces = sorted({key.namespace for key in resources})
    granted = _granted(resources)
    for placed in _unnamed(connection, namespaces):
        if placed.key.kind != "DataSource":
            resources[placed.key] = placed
        elif any(grant.covers(_same(grant, placed.key.name)) for grant in granted):
            _follow(connection, resources, [placed.key])
    return ManifestSet(subject, resources), commit_of(connection, owner)


def _follow(
    connection: Connection, resources: dict[Key, Placed], waiting: list[Key]
) -> str | None:
    """Add what is named, and all that it names; the owner of the first."""
    owner = None
    while waiting:
        key = waiting.pop()
        if key in resources:
            continue
        row = connection.exec_driver_sql(
            "SELECT body, path, line, lines, owner FROM resource"
            " WHERE namespace = ? AND kind = ? AND name = ?",
            tuple(key),
        ).one_or_none()
        if row is None:
            continue
        owner = owner or row.owner
        lines, by = json.loads(row.lines), _by_hand(row.owner)
        resources[key] = Placed(key, row.body, row.path, row.line, lines, by)
        waiting.extend(_named(key, kinds.spec_of(key.kind, row.body)))
    return owner


def _unnamed(connection: Connection, namespaces: Sequence[str]) -> Iterator[Placed]:
    """What applies without being named: rules and data of the namespaces, and policies."""
    for row in connection.exec_driver_sql(
        "SELECT namespace, kind, name, body, path, line, lines, owner FROM resource"
        " WHERE kind = 'AgentPolicy' OR (kind IN ('DataSource', 'Namespace', 'ToolPermission')"
        " AND namespace IN (SELECT value FROM json_each(?)))",
        (json.dumps(namespaces),),
    ):
        lines, by = json.loads(row[6]), _by_hand(row[7])
        yield Placed(Key(*row[:3]), row[3], row[4], row[5], lines, by)


def _by_hand(owner: str) -> str | None:
    """The person who applied something; None when it came from Git."""
    return None if owner.startswith("git:") else owner


def _granted(resources: Mapping[Key, Placed]) -> list[Permission]:
    """Every grant of every agent and role in the set."""
    found: list[Permission] = []
    for key, placed in resources.items():
        spec = kinds.spec_of(key.kind, placed.body)
        if isinstance(spec, Agent):
            found += (permission for tool in spec.tools for permission in tool.permissions)
        elif isinstance(spec, AgentRole):
            found += spec.permissions
    return found


def _same(grant: Permission, resource: str) -> Permission:
    return Permission.of(grant.verb, resource)


def commit_of(connection: Connection, owner: str | None) -> str:
    """The commit that an owner's resources stand at; `none` for what came by hand."""
    source = (owner or "").removeprefix("git:")
    commit = connection.exec_driver_sql(
        "SELECT applied_commit FROM source WHERE name = ?", (source,)
    ).scalar_one_or_none()
    return str(commit) if commit and owner != source else NO_COMMIT


def _named(key: Key, spec: Spec) -> list[Key]:
    targets = [reference.target for reference in spec.references(key.namespace)]
    if isinstance(spec, Agent):
        endpoint, model = spec.endpoint(key.namespace)
        targets.append(endpoint)
        if model is not None:
            targets.append(Key(key.namespace, "ModelEndpoint", model))
    return targets


def _save_set(connection: Connection, digest: str, content: str) -> None:
    """Keep a manifest set."""
    connection.exec_driver_sql(
        "INSERT INTO manifest_set (digest, content) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (digest, content),
    )


def _load_set(connection: Connection, digest: str) -> str:
    """The text of a kept manifest set."""
    return str(
        connection.exec_driver_sql(
            "SELECT content FROM manifest_set WHERE digest = ?", (digest,)
        ).scalar_one()
    )


def _serial(connection: Connection) -> int:
    """The serial of the recorded state, which stays as it is until the transaction ends."""
    return int(connection.exec_driver_sql("SELECT serial FROM state /* share */").scalar_one())
