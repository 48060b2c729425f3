"""What stands in the tables, whatever stands there: digests of rows, and marks for bad ones.

A row that somebody wrote past us may hold bytes where text should be. It is read all the
same, as one that drifted: it must cost neither the look nor what other rows say.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from reconciler.drift.comparison import Standing
from reconciler.resource import Resource
from runner.contract import seal
from runner.contract.audit_entry import canonical
from runner.contract.database import dialect
from runner.contract.errors import Refused
from runner.contract.kinds import Key

_BATCH: Final = 250
_TEXTS: Final = ("owner", "path", "spec_hash", "body", "lines")
_READ: Final = ("owner", "body", "spec_hash", "commit_sha", "path", "blob", "lines")

_Item = TypeVar("_Item")


def standing(
    connection: Connection, keys: Sequence[Key], sealed: Mapping[Key, Sequence[str]],
    sealer: seal.Sealer,
) -> dict[Key, Standing]:  # fmt: skip
    """What is recorded under these keys; `sealed` are the secret digests that each needs."""
    found: dict[Key, Standing] = {}
    for batch in _batches(keys):
        named = references(connection, batch)
        unsealed = _unsealed(connection, {key: sealed.get(key, ()) for key in batch}, sealer)
        for key, row in _rows(connection, batch):
            found[key] = _standing(row, named.get(key, NO_REFERENCES), unsealed[key])
    return found


def body(connection: Connection, key: Key) -> str:
    """The body recorded under a key, readable as text whatever it is; empty without one."""
    for _, row in _rows(connection, [key]):
        return _text(row[1])
    return ""


def owned(connection: Connection, owner: str) -> Iterator[Key | None]:
    """The keys that are recorded as an owner's; None for one that is no text."""
    columns = dialect.as_bytes(connection, "namespace", "kind", "name")
    rows = connection.exec_driver_sql(
        f"SELECT {columns} FROM resource WHERE owner = ?",  # noqa: S608
        (owner,),
    )
    return _keys(rows)


def elsewhere(connection: Connection, owners: Iterable[str]) -> Iterator[Key | None]:
    """The keys of what belongs to none of these owners."""
    columns = dialect.as_bytes(connection, "namespace", "kind", "name")
    listed = json.dumps(sorted(owners))
    rows = connection.exec_driver_sql(
        f"SELECT {columns} FROM resource"  # noqa: S608
        " WHERE owner NOT IN (SELECT value FROM json_each(?)) ORDER BY namespace, kind, name",
        (listed,),
    )
    return _keys(rows)


def references(connection: Connection, keys: Sequence[Key]) -> dict[Key, str]:
    """The digest of what each resource is recorded to name; those that name nothing are out."""
    found: dict[Key, list[list[Any]]] = defaultdict(list)
    columns = dialect.as_bytes(connection, "to_namespace", "to_kind", "to_name")
    numbers = dialect.as_integers(connection, "line", "required")
    rows = connection.exec_driver_sql(
        f"{_wanted(keys)} SELECT in_namespace, of_kind, named, {columns}, {numbers}"  # noqa: S608
        " FROM wanted JOIN reference"
        " ON (from_namespace, from_kind, from_name) = (in_namespace, of_kind, named)",
        tuple(part for key in keys for part in key),
    )
    for row in rows:
        target = [_text(_plain(part)) for part in row[3:6]]
        found[Key(*row[:3])].append([*target, row[6], bool(row[7])])
    return {key: _listed(mentions) for key, mentions in found.items()}


def mentioned(resource: Resource) -> str:
    """The digest of what a resource names, as `references` makes it."""
    # A target that is named twice is recorded once, with the last line.
    last = {item.target: [*item.target, item.line, item.required] for item in resource.mentions}
    return _listed(list(last.values()))


def applied_once(connection: Connection, source: str, commits: Iterable[str]) -> set[str]:
    """Those of the commits that were ever applied from a repository."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT commit_sha FROM revision"
        " WHERE source = ? AND commit_sha IN (SELECT value FROM json_each(?))",
        (source, json.dumps(list(commits))),
    )
    return {str(commit) for (commit,) in rows}


def _listed(mentions: list[list[Any]]) -> str:
    return _hashed(canonical(sorted(mentions, key=repr)).encode("utf-8", "replace"))


def _standing(row: Sequence[Any], named: str, unsealed: tuple[str, ...]) -> Standing:
    owner, content, spec_hash, commit, path, blob, lines, line, sound = row
    return Standing(
        owner=_text(owner),
        body_hash="sha256:" + _hashed(content or b""),
        spec_hash=_text(spec_hash),
        commit=_text(commit),
        path=_text(path),
        line=line if type(line) is int else -1,
        blob=None if blob is None else _text(blob),
        lines=_hashed(lines or b""),
        references=named,
        readable=bool(sound),
        unsealed=unsealed,
    )


def _rows(connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
    columns = dialect.as_bytes(connection, *_READ)
    sound = dialect.well_typed(connection, _TEXTS, ("line", "generation", "applied_at"))
    line = dialect.as_integers(connection, "line")
    rows = connection.exec_driver_sql(
        f"{_wanted(keys)} SELECT in_namespace, of_kind, named, {columns}, {line}, {sound}"  # noqa: S608
        " FROM wanted JOIN resource"
        " ON (namespace, kind, name) = (in_namespace, of_kind, named)",
        tuple(part for key in keys for part in key),
    )
    for row in rows:
        # psycopg gives a view of its buffer.
        yield Key(*row[:3]), tuple(_plain(value) for value in row[3:])


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _unsealed(
    connection: Connection, wanted: Mapping[Key, Sequence[str]], sealer: seal.Sealer
) -> dict[Key, tuple[str, ...]]:
    """For each key, the digests whose value is gone, cannot be opened, or is another."""
    digests = sorted({digest for needed in wanted.values() for digest in needed})
    column = dialect.as_bytes(connection, "ciphertext")
    kept = {}
    if digests:
        rows = connection.exec_driver_sql(
            f"SELECT digest, {column} FROM sealed_secret"  # noqa: S608
            " WHERE digest IN (SELECT value FROM json_each(?))",
            (json.dumps(digests),),
        )
        kept = {digest: _text(_plain(ciphertext)) for digest, ciphertext in rows}
    bad = {digest for digest in digests if not _opens(sealer, digest, kept.get(digest))}
    return {key: tuple(d for d in needed if d in bad) for key, needed in wanted.items()}


def _opens(sealer: seal.Sealer, digest: str, ciphertext: str | None) -> bool:
    try:
        return ciphertext is not None and sealer.opened(digest, ciphertext) is not None
    except Refused:
        return False


def _keys(rows: Iterable[Sequence[Any]]) -> Iterator[Key | None]:
    for row in rows:
        try:
            yield Key(*(bytes(part).decode() for part in row))
        except (UnicodeDecodeError, TypeError):
            yield None


def _wanted(batch: Sequence[Key]) -> str:
    """A table `wanted` of keys to join: one look into the index for each of them."""
    marks = ", ".join("(?, ?, ?)" for _ in batch)
    return f"WITH wanted (in_namespace, of_kind, named) AS (VALUES {marks})"


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def text_digest(text: str) -> str:
    """The digest of a text, as that of a column is made."""
    return _hashed(text.encode())


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


NO_REFERENCES: Final = _listed([])
