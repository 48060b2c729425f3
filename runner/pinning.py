"""The manifests that tasks are pinned to: resolved when a task first starts, then kept."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from runner.claim import Claimable
from runner.contract import kinds
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.database import dialect
from runner.contract.errors import NotFound, Refused
from runner.contract.kinds import Key
from runner.governance import reach
from runner.manifest_set import ManifestSet, Placed, from_text

_TEXTS: Final = ("body", "spec_hash", "path", "lines", "owner")
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
            keep(self._connection, digest, text)
            self._keep(digest, manifests)
            self._resolved[task.subject] = (digest, commit)
        return self._resolved[task.subject]

    def load(self, digest: str) -> ManifestSet:
        """A set by its digest; NotFound, or Refused when it was changed."""
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
    """The set of a subject as recorded now, and the commit it stands at; NotFound."""
    manifests = reach.gather(
        subject,
        lambda key: find(connection, key),
        lambda namespaces: unnamed(connection, namespaces),
    )
    owner = connection.exec_driver_sql(
        "SELECT owner FROM resource WHERE namespace = ? AND kind = ? AND name = ?",
        tuple(subject),
    ).scalar_one()
    return manifests, commit_of(connection, owner)


def find(connection: Connection, key: Key) -> Placed | None:
    """A resource as recorded now; Refused when it is not what was applied."""
    columns = dialect.as_bytes(connection, *_TEXTS)
    line = dialect.as_integers(connection, "line")
    row = connection.exec_driver_sql(
        f"SELECT {columns}, {line} FROM resource"  # noqa: S608
        " WHERE namespace = ? AND kind = ? AND name = ?",
        tuple(key),
    ).one_or_none()
    return None if row is None else _placed(key, row)


def unnamed(connection: Connection, namespaces: Sequence[str]) -> Iterator[Placed]:
    """What applies without being named: rules and data of the namespaces, and policies.

    Refused when one of them is not what was applied: what it forbade is not known any more.
    """
    columns = dialect.as_bytes(connection, "namespace", "kind", "name", *_TEXTS)
    line = dialect.as_integers(connection, "line")
    for row in connection.exec_driver_sql(
        f"SELECT {columns}, {line} FROM resource"  # noqa: S608
        " WHERE kind = 'AgentPolicy' OR (kind IN ('DataSource', 'Namespace', 'ToolPermission')"
        " AND namespace IN (SELECT value FROM json_each(?)))",
        (json.dumps(list(namespaces)),),
    ):
        key = Key(*(bytes(part).decode("utf-8", "replace") for part in row[:3]))
        yield _placed(key, row[3:])


def _placed(key: Key, row: Sequence[Any]) -> Placed:
    """A row as a resource; Refused when its body does not fit its digest.

    Whoever edits a row can edit the digest as well: that is what `orloj drift` looks for. Here
    it costs next to nothing to stop at what is broken, and only its own tasks stop.
    """
    body, spec_hash, path, lines, owner, line = row
    try:
        text, where, by = (bytes(part).decode() for part in (body, path, owner))
        fields = json.loads(bytes(lines))
        sound = kinds.digest(text).encode() == bytes(spec_hash)
        if sound and isinstance(fields, dict) and type(line) is int:
            return Placed(key, text, where, line, fields, _by_hand(by))
    except (TypeError, ValueError, RecursionError):
        pass
    raise Refused(
        f"{key} is not recorded as it was applied, and nothing is done under it; see what was"
        " changed: orloj drift"
    )


def _by_hand(owner: str) -> str | None:
    """The person who applied something; None when it came from Git."""
    return None if owner.startswith("git:") else owner


def commit_of(connection: Connection, owner: str | None) -> str:
    """The commit that an owner's resources stand at; `none` for what came by hand."""
    source = (owner or "").removeprefix("git:")
    commit = connection.exec_driver_sql(
        "SELECT applied_commit FROM source WHERE name = ?", (source,)
    ).scalar_one_or_none()
    return str(commit) if commit and owner != source else NO_COMMIT


def keep(connection: Connection, digest: str, content: str) -> None:
    """Keep a manifest set."""
    connection.exec_driver_sql(
        "INSERT INTO manifest_set (digest, content) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (digest, content),
    )


def _load_set(connection: Connection, digest: str) -> str:
    """The text of a kept manifest set; NotFound, Refused: its tasks end, and no others."""
    column = dialect.as_bytes(connection, "content")
    content = connection.exec_driver_sql(
        f"SELECT {column} FROM manifest_set WHERE digest = ?",  # noqa: S608
        (digest,),
    ).scalar_one_or_none()
    if content is None:
        raise NotFound(f"the manifest set {digest} that the task began under is gone")
    text = bytes(content).decode("utf-8", "replace")
    if kinds.digest(text) != digest:
        raise Refused(f"the manifest set {digest} was changed since the task began under it")
    return text


def _serial(connection: Connection) -> int:
    """The serial of the recorded state, which stays as it is until the transaction ends."""
    return int(connection.exec_driver_sql("SELECT serial FROM state /* share */").scalar_one())
