"""What a commit declares, as far as it differs from what is recorded.

    changed files ──cache──> known blobs ─────────────┐
                    └──git──> unknown ones ──parse──> resources ──check──> problems
    files + resources ──> touched keys ──> what is recorded for them

The cost follows the change: a file whose blob is the one recorded is not read, and a blob
that was ever parsed by this parser is not parsed again. Nothing is written but that cache.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Final

from sqlalchemy import Connection

from reconciler import blob_cache, check, consent, manifest, recorded
from reconciler.blob_cache import BlobCache
from reconciler.git.source import BLOB_BYTES_MAX, GitSource
from reconciler.problem import Problem, has_errors
from reconciler.resource import Recorded, Resource
from runner.contract import errors
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.seal import Sealer

MEMORY: Final = 2  # Count up when `_memory` writes something else.

_MARK: Final = 64  # Hex digits.


class Scope(StrEnum):
    """How much of a commit is looked at."""

    CHANGES = "changes"
    """What differs from the commit applied: costs as much as the change."""
    INVENTORY = "inventory"
    """Every file's blob against the one recorded: finds what a lost commit would hide."""
    EVERYTHING = "everything"
    """Every file, because settings or parser changed and blobs may mean something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files to look at with their blobs, those that are gone, and those ignored of them."""

    blobs: Mapping[str, str]
    gone: frozenset[str]
    ignored: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What files hold, duplicates included; `fresh` is what the cache should learn."""

    resources: tuple[Resource, ...]
    problems: tuple[Problem, ...]
    torn: tuple[Key, ...]
    parsed: int
    fresh: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The resources touched, desired and recorded, and everything that is wrong with them."""

    resources: Mapping[Key, Resource]
    recorded: Mapping[Key, Recorded]
    untouched: int
    removed_paths: frozenset[str]
    problems: tuple[Problem, ...]
    parsed: int
    ignored_paths: frozenset[str] = frozenset()


class Loader:
    """Loads commits of one repository for one owner."""

    def __init__(self, git: GitSource, database: Database, sealer: Sealer, owner: str) -> None:
        self._git = git
        self._database = database
        self._sealer = sealer
        self._cache = BlobCache(sealer)
        self._owner = owner

    def load(
        self, connection: Connection, commit: str, applied: str | None, scope: Scope
    ) -> Desired:
        """What `commit` declares, compared over `connection`; SourceError if Git fails."""
        files = self._files(connection, commit, applied, scope)
        read = self._read(connection, files.blobs)
        if read.fresh:
            with self._database.write() as writing:
                self._cache.remember(writing, read.fresh)
        paths = {*files.blobs, *files.gone}
        here = recorded.resources_at(connection, self._owner, paths)
        keys = {resource.key for resource in read.resources}
        have = here | recorded.resources_with(connection, keys - here.keys())
        resources = {resource.key: resource for resource in read.resources}
        checked = self._checked(connection, read, have, paths)
        ours = sum(item.owner == self._owner for item in have.values())
        return Desired(
            resources=resources,
            recorded=have,
            untouched=recorded.count(connection, self._owner) - ours,
            removed_paths=files.gone,
            problems=tuple(sorted([*files.problems, *read.problems, *checked], key=_place)),
            parsed=read.parsed,
            ignored_paths=files.ignored,
        )

    def everything(self, connection: Connection, commit: str) -> Mapping[Key, Resource]:
        """All that a commit declares; SourceError if Git fails or the commit has mistakes."""
        files = self.files(commit)
        return {resource.key: resource for resource in self.resources(connection, files)}

    def files(self, commit: str) -> Mapping[str, str]:
        """The blob of each manifest of a commit, by path; SourceError."""
        listing = self._git.tree(commit)
        for problem in listing.problems:
            if has_errors([problem]):
                raise errors.SourceStalled("ManifestInvalid", f"{commit[:12]}: {problem}")
        return {file.path: file.blob for file in listing.files}

    def resources(
        self, connection: Connection, blobs: Mapping[str, str]
    ) -> tuple[Resource, ...]:
        """What files declare, by path and blob; SourceError if one of them has mistakes."""
        read = self._read(connection, blobs)
        for problem in read.problems:
            if has_errors([problem]):
                raise errors.SourceStalled("ManifestInvalid", str(problem))
        return read.resources

    def _files(
        self, connection: Connection, commit: str, applied: str | None, scope: Scope
    ) -> Files:
        if scope is Scope.CHANGES:
            assert applied is not None
            found = self._git.changes(applied, commit)
            return Files(
                blobs={item.path: item.new_blob for item in found.changes if item.new_blob},
                gone=frozenset(item.path for item in found.changes if item.new_blob is None),
                problems=found.problems,
            )
        listing = self._git.tree(commit)
        known = recorded.inventory(connection, self._owner)
        return Files(
            blobs={
                file.path: file.blob
                for file in listing.files
                if scope is Scope.EVERYTHING or known.get(file.path) != file.blob
            },
            gone=frozenset(known.keys() - {file.path for file in listing.files}),
            ignored=listing.ignored & known.keys(),
            problems=listing.problems,
        )

    def _read(self, connection: Connection, blobs: Mapping[str, str]) -> Read:
        known = self._cache.known(connection, set(blobs.values()))
        texts = self._git.blobs(sorted({*blobs.values()} - known.keys()))
        resources: list[Resource] = []
        problems: list[Problem] = []
        torn: list[Key] = []
        fresh: dict[str, str] = {}
        for path, blob in blobs.items():
            if blob in known:
                recalled = blob_cache.recalled(known[blob], path, blob)
                resources += recalled.resources
                problems += recalled.problems
                continue
            text = texts[blob]
            if text is None:
                problems.append(_oversized(path))
                continue
            found = manifest.parse(text, path, self._sealer.seal)
            resources += (replace(resource, blob=blob) for resource in found.resources)
            problems += found.problems
            torn += found.torn
            if not has_errors(found.problems):
                fresh[blob] = self._cache.kept(blob, found)
        return Read(
            resources=tuple(resources),
            problems=tuple(problems),
            torn=tuple(torn),
            parsed=len(texts),
            fresh=fresh,
        )

    def _checked(
        self,
        connection: Connection,
        read: Read,
        have: Mapping[Key, Recorded],
        paths: AbstractSet[str],
    ) -> list[Problem]:
        """What the files cannot know of each other, and of those that nobody touched."""
        resources = read.resources
        declared = {resource.key for resource in resources}
        # What stands in a file with a mistake is not gone: one mistake, one problem.
        flawed = {problem.path for problem in read.problems if has_errors([problem])}
        gone = {
            key
            for key, item in have.items()
            if key not in declared and item.owner == self._owner and item.path not in flawed
        }
        mentioned = {mention.target for resource in resources for mention in resource.mentions}
        named = recorded.resources_with(connection, mentioned - declared - gone)
        dependents = recorded.dependents(connection, self._owner, gone)
        problems = check.check(
            resources,
            named.__contains__,
            [orphan for orphan in dependents if orphan[0] not in declared | gone],
            cache(lambda kind, namespace: recorded.names(connection, kind, namespace)),
            torn=read.torn,
        )
        problems += self._consent(connection, resources, named, declared | gone)
        return problems + [
            _declared_elsewhere(resource, other)
            for resource in resources
            if (other := have.get(resource.key)) is not None
            if other.owner == self._owner and other.path not in paths
        ]

    def _consent(
        self,
        connection: Connection,
        touched: tuple[Resource, ...],
        named: Mapping[Key, Recorded],
        changed: AbstractSet[Key],
    ) -> list[Problem]:
        secrets = {resource.key for resource in touched if resource.key.kind == "Secret"}
        users = recorded.dependents(connection, self._owner, secrets, required=False)
        unchanged = [user for user in users if user[0] not in changed]
        return consent.missing(touched, named, unchanged)


def _declared_elsewhere(resource: Resource, other: Recorded) -> Problem:
    return Problem(
        resource.path,
        resource.line,
        resource.column,
        f"{resource.key} is declared twice: also at {other.path}:{other.line}",
        "rename or remove one of them",
    )


def _oversized(path: str) -> Problem:
    return Problem(
        path,
        1,
        1,
        f"the file is larger than {BLOB_BYTES_MAX // 1024} KiB",
        "split it: a manifest is a page, not a book",
    )


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.path, problem.line, problem.column
