"""What an export reads of one mirror: commits, the objects they stand on, their manifests."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from reconciler import manifest
from reconciler.git import tree as git_tree
from reconciler.git.address import Address
from reconciler.git.command import GitCommand, Outcome
from reconciler.git.tree import BlobReader
from reconciler.problem import has_errors
from reconciler.resource import Resource
from runner.contract import errors

_TIMEOUT_S: Final = 600.0
_BLOB_BYTES_MAX: Final = 1 << 20
_BYTES_MAX: Final = 64 << 20
_AT_ONCE: Final = 500
_SECRET: Final = re.compile(rb"kind\W{0,8}Secret")
_VALUES: Final = re.compile(rb"stringData|string_data|data")
_PACK: Final = (
    "pack-objects", "--stdout", "--threads=1", "--no-reuse-delta", "--no-reuse-object",
    "--no-use-bitmap-index", "--window=10", "--depth=50", "--window-memory=0",
    "--compression=6", "--delta-base-offset", "--quiet",
)  # fmt: skip


class Commits:
    """The commits of a bare repository, which is only read."""

    def __init__(self, mirror: Path, scratch: Path) -> None:
        self._mirror = mirror
        address = Address(url=str(mirror), local=mirror)
        self._git = GitCommand(address, scratch, _TIMEOUT_S)
        self._declared: dict[str, tuple[Resource, ...]] = {}

    def held(self, commits: Sequence[str]) -> list[str]:
        """Those of these commits that are here, in the order given."""
        given = _lines(f"{commit}^{{commit}}" for commit in commits)
        answer = self._ask("cat-file", "--batch-check=%(objectname)", given=given)
        found = set(answer.decode("ascii", "replace").split())
        return [commit for commit in commits if commit in found]

    def objects(self, commits: Sequence[str]) -> list[str]:
        """The names of these commits and of all they stand on, sorted."""
        flags = ("--objects", "--no-object-names", "--stdin")
        return sorted(self._ask("rev-list", *flags, given=_lines(commits)).decode().split())

    def pack(self, objects: Sequence[str], target: BinaryIO) -> None:
        """Write a pack of these objects: the same bytes for the same objects."""
        outcome = self._git.local(
            *_PACK, mirror=self._mirror, given=_lines(objects), into=target
        )
        self._check(outcome)

    def secret_in(self, objects: Sequence[str]) -> str | None:
        """The first of these blobs that holds, or may hold, the value of a Secret."""
        for first in range(0, len(objects), _AT_ONCE):
            for name, content in self._blobs(objects[first : first + _AT_ONCE]):
                if _holds_secret(content):
                    return f"blob {name}"
        return None

    def declared(self, commit: str) -> tuple[Resource, ...]:
        """The resources that a commit declares; a file with mistakes declares nothing."""
        if commit not in self._declared:
            flags = ("-r", "-z", "--full-tree", "--end-of-options")
            outcome = self._git.local("ls-tree", *flags, commit, mirror=self._mirror)
            self._check(outcome)
            files = git_tree.listing(outcome.output, "").files
            paths = {file.blob: file.path for file in files}
            self._declared[commit] = tuple(
                resource
                for name, content in self._blobs(list(paths))
                for resource in manifest.parse(content, paths[name], _sealed).resources
            )
        return self._declared[commit]

    def _blobs(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        reader = BlobReader(_BLOB_BYTES_MAX, _BYTES_MAX)
        if names:
            flags = ("--batch", "--buffer")
            self._ask("cat-file", *flags, given=_lines(names), into=reader)
        if reader.overflown and len(names) > 1:
            half = len(names) // 2
            yield from self._blobs(names[:half])
            yield from self._blobs(names[half:])
            return
        for name, content in reader.found.items():
            if content is not None:
                yield name, content

    def _ask(self, *arguments: str, given: bytes, into: BlobReader | None = None) -> bytes:
        outcome = self._git.local(*arguments, mirror=self._mirror, given=given, into=into)
        self._check(outcome)
        return outcome.output

    def _check(self, outcome: Outcome) -> None:
        if not outcome.ok:
            raise errors.Refused(
                f"the mirror {self._mirror} cannot be read ({outcome.words}), so nothing was"
                " exported: run `orloj reconcile`, which mends it, and export again"
            )


def _lines(words: Iterator[str] | Sequence[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode("ascii")


def _holds_secret(content: bytes) -> bool:
    """Whether a Secret with a value stands there; what cannot be read counts as one."""
    if not (_SECRET.search(content) and _VALUES.search(content)):
        return False
    values: list[str] = []

    def seal(value: str) -> tuple[str, str]:
        values.append(value)
        return _sealed(value)

    parsed = manifest.parse(content, "manifest.yaml", seal)
    return bool(values) or has_errors(parsed.problems)


def _sealed(_: str) -> tuple[str, str]:
    return "sealed", "sealed"
