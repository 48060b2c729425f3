"""What the resources of a repository should be: its applied commit, read anew.

From Git's blobs, or from the cache where it carries our mark; never from the rows that are
being looked at. Kept between looks as digests, about 600 bytes a resource, and read in
slices: a look must not hold up a push.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from reconciler.desired import Loader
from reconciler.drift import rows
from reconciler.drift.comparison import Standard
from reconciler.resource import Resource
from runner.contract.kinds import Key

FILES: Final = 100
"""Files that one slice reads: a parsed manifest takes about a millisecond."""


class Standards:
    """The standards of one commit at a time, filled slice by slice."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._commit = ""
        self._files: list[tuple[str, str]] = []
        self._of_file: dict[tuple[str, str], dict[Key, Standard]] = {}
        self._keys: list[Key] = []
        self._all: dict[Key, Standard] = {}

    @property
    def keys(self) -> Sequence[Key]:
        """What the commit declares, sorted; once `advance` said that all is read."""
        return self._keys

    def get(self, key: Key) -> Standard | None:
        """What a resource should be; None for one that the commit does not declare."""
        return self._all.get(key)

    def advance(self, connection: Connection, commit: str) -> bool:
        """Read some more of a commit; whether all of it is read. SourceError."""
        if commit != self._commit:
            listed = self._loader.files(commit).items()
            self._of_file = {
                file: self._of_file[file] for file in listed if file in self._of_file
            }
            self._files = [file for file in listed if file not in self._of_file]
            self._commit, self._keys, self._all = commit, [], {}
        some = dict(islice(self._files, FILES))
        if some:
            read = self._loader.resources(connection, some)
            self._of_file |= {file: {} for file in some.items()}
            for resource in read:
                assert resource.blob is not None
                file = (resource.path, resource.blob)
                self._of_file[file][resource.key] = standard(resource)
            del self._files[: len(some)]
        if self._files:
            return False
        if not self._keys:
            self._all = {
                k: item for found in self._of_file.values() for k, item in found.items()
            }
            self._keys = sorted(self._all)
        return True

    def resources(self, connection: Connection, keys: Sequence[Key]) -> Mapping[Key, Resource]:
        """Some of what the commit declares, whole. SourceError."""
        wanted = {key for key in keys if key in self._all}
        files = {
            str(item.path): str(item.blob) for key in wanted if (item := self._all[key]).blob
        }
        found = self._loader.resources(connection, files)
        return {resource.key: resource for resource in found if resource.key in wanted}


def standard(resource: Resource) -> Standard:
    """What a resource should be, as digests."""
    return Standard(
        spec_hash=resource.spec_hash,
        path=resource.path,
        line=resource.line,
        blob=resource.blob,
        lines=rows.text_digest(lines_text(resource)),
        references=rows.mentioned(resource),
        sealed=tuple(sorted({digest for digest, _ in resource.sealed})),
    )


def lines_text(resource: Resource) -> str:
    """The lines of its fields as the tables keep them."""
    return json.dumps(dict(resource.lines), separators=(",", ":"), ensure_ascii=False)
