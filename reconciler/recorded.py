"""What was applied last, where it came from, and how the last look at the source went.

Plain statements over the caller's connection: a pass through the ORM would cost twenty
times as much. Nothing here opens a transaction or decides anything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from reconciler import transition
from reconciler.resource import Recorded, git_owner
from runner.contract.database import dialect
from runner.contract.kinds import Key
from runner.contract.settings import DEFAULT_SOURCE

CACHED_BLOBS_MAX: Final = 200_000
_BATCH: Final = 250  # Three variables a key; SQLite takes at least 999 in a statement.
_Item = TypeVar("_Item")

_COLUMNS: Final = (
    "namespace, kind, name, owner, commit_sha, path, line, spec_hash, body, generation, blob"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """A repository as it stands in the database. `problems` is a JSON list."""

    name: str
    url: str
    ref: str
    path: str
    settings_digest: str
    applied_commit: str | None = None
    applied_tree: str | None = None
    attempted_commit: str | None = None
    condition: str = "Reconciling"
    reason: str = "NotChecked"
    message: str = ""
    problems: str = "[]"
    checked_at: int | None = None
    applied_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A commit that was applied, with its counts."""

    id: int
    source: str
    commit: str
    previous_commit: str | None
    fast_forward: bool
    plan_id: str
    serial: int
    author: str
    committer: str
    subject: str
    created: int
    updated: int
    deleted: int
    applied_at: int


_SOURCE_COLUMNS: Final = tuple(SourceState.__dataclass_fields__)


def source(connection: Connection, name: str = DEFAULT_SOURCE) -> SourceState | None:
    """The repository of that name; None before the first look at it."""
    return next((state for state in sources(connection) if state.name == name), None)


def sources(connection: Connection) -> list[SourceState]:
    """Every repository that was ever looked at."""
    rows = connection.exec_driver_sql(
        f"SELECT {', '.join(_SOURCE_COLUMNS)} FROM source ORDER BY name"  # noqa: S608
    )
    return [SourceState(**dict(zip(_SOURCE_COLUMNS, row, strict=True))) for row in rows]


def commit_of(connection: Connection, owner: str) -> str | None:
    """The commit that an owner's resources stand at; None for what was applied by hand."""
    name = owner.removeprefix(git_owner(""))
    state = source(connection, name) if name != owner else None
    return state.applied_commit if state else None


def put_source(connection: Connection, state: SourceState) -> None:
    """Write a repository's state."""
    marks = ", ".join("?" for _ in _SOURCE_COLUMNS)
    updates = ", ".join(f"{name} = excluded.{name}" for name in _SOURCE_COLUMNS[1:])
    connection.exec_driver_sql(
        f"INSERT INTO source ({', '.join(_SOURCE_COLUMNS)}) VALUES ({marks})"  # noqa: S608
        f" ON CONFLICT (name) DO UPDATE SET {updates}",
        tuple(getattr(state, name) for name in _SOURCE_COLUMNS),
    )
    transition.note(
        connection, state.name, state.condition, state.reason, now_us=state.checked_at
    )


def serial(connection: Connection) -> int:
    """The serial of the recorded state."""
    return int(connection.exec_driver_sql("SELECT serial FROM state WHERE id = 1").scalar_one())


def advance(connection: Connection, serial: int) -> bool:
    """Count an apply; False when the state is no longer at `serial`.

    Whoever else applies, or resolves what a task is pinned to, waits until we commit.
    """
    changed = connection.exec_driver_sql(
        "UPDATE state SET serial = serial + 1 WHERE id = 1 AND serial = ?", (serial,)
    )
    return changed.rowcount == 1


def revisions(connection: Connection, limit: int = 20) -> list[Revision]:
    """The commits applied, newest first."""
    rows = connection.exec_driver_sql(
        "SELECT id, source, commit_sha, previous_commit, fast_forward, plan_id, serial, author,"
        " committer, subject, created, updated, deleted, applied_at"
        " FROM revision ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    names = tuple(Revision.__dataclass_fields__)
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [Revision(**{**row, "fast_forward": bool(row["fast_forward"])}) for row in found]


def resources(connection: Connection, owner: str | None = None) -> list[Recorded]:
    """Every resource, or those of one owner, sorted by key."""
    where, values = ("", ()) if owner is None else (" WHERE owner = ?", (owner,))
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM resource{where} ORDER BY namespace, kind, name",  # noqa: S608
        values,
    )
    return [_recorded(row) for row in rows]


def resources_with(connection: Connection, keys: Iterable[Key]) -> dict[Key, Recorded]:
    """The resources with these keys, whoever owns them; missing ones are left out."""
    found: dict[Key, Recorded] = {}
    for batch in _batches(keys):
        rows = connection.exec_driver_sql(
            f"{_wanted(batch)} SELECT {_COLUMNS} FROM wanted JOIN resource"  # noqa: S608
            " ON (namespace, kind, name) = (in_namespace, of_kind, named)",
            tuple(part for key in batch for part in key),
        )
        found.update((item.key, item) for item in map(_recorded, rows))
    return found


def resources_at(
    connection: Connection, owner: str, paths: Iterable[str]
) -> dict[Key, Recorded]:
    """The resources of an owner that were declared in these files."""
    found: dict[Key, Recorded] = {}
    for batch in _batches(paths):
        marks = ", ".join("?" for _ in batch)
        rows = connection.exec_driver_sql(
            f"SELECT {_COLUMNS} FROM resource"  # noqa: S608
            f" WHERE owner = ? AND path IN ({marks})",
            (owner, *batch),
        )
        found.update((item.key, item) for item in map(_recorded, rows))
    return found


def _wanted(batch: Sequence[Key]) -> str:
    """A table `wanted` of keys to join: one look into the index for each of them.

    For `(a, b, c) IN (VALUES ...)` SQLite would read the whole table.
    """
    marks = ", ".join("(?, ?, ?)" for _ in batch)
    return f"WITH wanted (in_namespace, of_kind, named) AS (VALUES {marks})"


def count(connection: Connection, owner: str) -> int:
    """How many resources an owner has."""
    return int(
        connection.exec_driver_sql(
            "SELECT count(*) FROM resource WHERE owner = ?", (owner,)
        ).scalar_one()
    )


def inventory(connection: Connection, owner: str) -> dict[str, str | None]:
    """The files an owner's resources stand in, with the blob each was read from."""
    rows = connection.exec_driver_sql(
        "SELECT path, blob FROM resource WHERE owner = ? GROUP BY path, blob", (owner,)
    )
    return {path: blob for path, blob in rows}


def dependents(
    connection: Connection, owner: str, targets: Iterable[Key], *, required: bool = True
) -> list[tuple[Key, str, int, Key]]:
    """Which resources of an owner cannot do without these: key, path, line, what it needs.

    Not only `required`: whatever names them.
    """
    condition = "required AND" if required else ""
    found: list[tuple[Key, str, int, Key]] = []
    for batch in _batches(targets):
        rows = connection.exec_driver_sql(
            f"{_wanted(batch)} SELECT namespace, kind, name, path, f.line,"  # noqa: S608
            " to_namespace, to_kind, to_name FROM wanted JOIN reference f"
            " ON (to_namespace, to_kind, to_name) = (in_namespace, of_kind, named)"
            " JOIN resource"
            " ON (namespace, kind, name) = (from_namespace, from_kind, from_name)"
            f" WHERE {condition} owner = ?",
            (*(part for key in batch for part in key), owner),
        )
        found += [(Key(*row[:3]), row[3], row[4], Key(*row[5:8])) for row in rows]
    return found


def naming(connection: Connection, targets: Iterable[Key]) -> Iterator[tuple[Key, Key]]:
    """Which resources name these, whoever owns them: what is named, and who names it."""
    for batch in _batches(targets):
        statement = (
            f"{_wanted(batch)} SELECT in_namespace, of_kind, named,"  # noqa: S608
            " from_namespace, from_kind, from_name FROM wanted JOIN reference"
            " ON (to_namespace, to_kind, to_name) = (in_namespace, of_kind, named)"
        )
        for row in connection.exec_driver_sql(statement, tuple(sum(batch, ()))):
            yield Key(*row[:3]), Key(*row[3:])


def names(connection: Connection, kind: str, namespace: str) -> list[str]:
    """The names of the resources of a kind in a namespace."""
    rows = connection.exec_driver_sql(
        "SELECT name FROM resource WHERE namespace = ? AND kind = ?", (namespace, kind)
    )
    return [name for (name,) in rows]


def keys(connection: Connection, kind: str) -> list[Key]:
    """The keys of every resource of a kind, sorted."""
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name FROM resource WHERE kind = ? ORDER BY namespace, name",
        (kind,),
    )
    return [Key(*row) for row in rows]


def cached(connection: Connection, blobs: Iterable[str], version: str) -> dict[str, str]:
    """What these blobs were parsed to by this version of the parser."""
    found: dict[str, str] = {}
    documents = dialect.as_bytes(connection, "documents")
    for batch in _batches(blobs):
        marks = ", ".join("?" for _ in batch)
        rows = connection.exec_driver_sql(
            f"SELECT blob, {documents} FROM blob_cache"  # noqa: S608
            f" WHERE parser_version = ? AND blob IN ({marks})",
            (version, *batch),
        )
        found.update({blob: bytes(text).decode("utf-8", "replace") for blob, text in rows})
    return found


def remember(connection: Connection, documents: Mapping[str, str], version: str) -> None:
    """Keep what blobs were parsed to; the oldest make room once there are too many."""
    connection.exec_driver_sql(
        "INSERT INTO blob_cache (blob, parser_version, documents) VALUES (?, ?, ?)"
        " ON CONFLICT (blob, parser_version) DO UPDATE SET documents = excluded.documents",
        [(blob, version, text) for blob, text in documents.items()],
    )
    connection.exec_driver_sql(
        "DELETE FROM blob_cache WHERE number <= (SELECT max(number) FROM blob_cache) - ?",
        (CACHED_BLOBS_MAX,),
    )


def _recorded(row: Sequence[Any]) -> Recorded:
    return Recorded(Key(row[0], row[1], row[2]), *row[3:])


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
