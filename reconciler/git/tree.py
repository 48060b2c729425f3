"""What git prints about trees and blobs, as values. Pure.

Only plain files named `*.yaml` or `*.yml` are manifests; a file or folder whose name begins
with a dot is somebody else's. A symlink or a submodule among the manifests is a Problem,
for it would make the content depend on something that the commit does not hold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.problem import Problem

PATH_BYTES_MAX: Final = 1_024
"""A path is looked up in an index, and PostgreSQL's take 2 700 bytes."""
_ABSENT: Final = "000000"
_SYMLINK: Final = "120000"
_SUBMODULE: Final = "160000"
_SUFFIXES: Final = (b".yaml", b".yml")


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A manifest in a commit: its path from the root of the repository, and its content."""

    path: str
    blob: str
    mode: str


@dataclass(frozen=True, slots=True)
class TreeChange:
    """A manifest that differs between two commits; a blob is None where it does not exist."""

    path: str
    old_blob: str | None
    new_blob: str | None
    mode: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The manifests of a commit, what may not be among them, and the paths that are ignored."""

    files: tuple[TreeFile, ...]
    problems: tuple[Problem, ...] = ()
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the manifests of two commits, and what may not be among them."""

    changes: tuple[TreeChange, ...]
    problems: tuple[Problem, ...] = ()


Hides = Callable[[bytes], bool]
"""Whether a path inside the folder is no manifest, because the settings say so."""


def hides_none(path: bytes) -> bool:
    """What hides no path."""
    return False


def listing(output: bytes, prefix: str, hides: Hides = hides_none) -> Listing:
    """The manifests in the output of `ls-tree -r -z` that lie under the prefix."""
    files: list[TreeFile] = []
    problems: list[Problem] = []
    ignored: set[str] = set()
    hidden = len(prefix.encode())
    for entry in output.split(b"\0"):
        if not entry:
            continue
        head, _, raw = entry.partition(b"\t")
        mode, _, blob = head.decode("ascii").split(" ")
        if not _ours(raw[hidden:], mode):
            continue
        if hides(raw[hidden:]):
            ignored.add(_shown(raw))
            continue
        if problem := _problem(raw, mode):
            problems.append(problem)
        else:
            files.append(TreeFile(raw.decode(), blob, mode))
    return Listing(tuple(files), tuple(problems), frozenset(ignored))


def changes(output: bytes, prefix: str, hides: Hides = hides_none) -> Changes:
    """The differences in the output of `diff-tree -r -z --raw` that lie under the prefix."""
    found: list[TreeChange] = []
    problems: list[Problem] = []
    hidden = len(prefix.encode())
    parts = output.split(b"\0")
    for head, raw in zip(parts[0::2], parts[1::2], strict=False):
        if hides(raw[hidden:]):
            continue
        old_mode, mode, old, new, _ = head.decode("ascii").removeprefix(":").split(" ")
        if mode != _ABSENT and _ours(raw[hidden:], mode) and (problem := _problem(raw, mode)):
            problems.append(problem)
            continue
        # A symlink that became a file is a file that is new, and the other way round.
        before = old if _is_manifest(raw[hidden:], old_mode) else None
        after = new if _is_manifest(raw[hidden:], mode) else None
        if before or after:
            found.append(TreeChange(_shown(raw), before, after, mode))
    return Changes(tuple(found), tuple(problems))


def renames(output: bytes, prefix: str) -> dict[str, tuple[str, int]]:
    """New paths with the former path and the percent that is the same, under the prefix.

    From the output of `diff-tree -r -z -M --diff-filter=R --name-status`.
    """
    found: dict[str, tuple[str, int]] = {}
    hidden = len(prefix.encode())
    parts = output.split(b"\0")
    for status, old, new in zip(parts[0::3], parts[1::3], parts[2::3], strict=False):
        if all(raw[hidden:].endswith(_SUFFIXES) for raw in (old, new)):
            found[_shown(new)] = (_shown(old), int(status.removeprefix(b"R")))
    return found


class BlobReader:
    """Takes the output of `cat-file --batch` as it comes; keeps no blob over a limit.

    `found` has the content of each blob, None for one larger than `blob_bytes_max`. What goes
    beyond `bytes_max` altogether is let go, and `overflown` says so. What git calls missing,
    or is no blob, is not in `found`. With another `kind`, the same of objects of that.
    """

    def __init__(self, blob_bytes_max: int, bytes_max: int, kind: str = "blob") -> None:
        self._kind = kind
        self.found: dict[str, bytes | None] = {}
        self.overflown = False
        self._blob_bytes_max = blob_bytes_max
        self._left = bytes_max
        self._header = bytearray()
        self._kept: bytearray | None = None
        self._blob = ""
        self._missing = 0  # Bytes of the present object that have not come yet.

    def write(self, chunk: bytes) -> int:
        """Take the next bytes; all of them are taken."""
        at = 0
        while at < len(chunk):
            if self._missing:
                taken = min(self._missing, len(chunk) - at)
                if self._kept is not None:
                    self._kept += chunk[at : at + taken]
                self._missing -= taken
                at += taken
                if not self._missing:
                    self._keep()
                continue
            end = chunk.find(b"\n", at)
            self._header += chunk[at:] if end < 0 else chunk[at:end]
            if end < 0:
                break
            self._begin()
            at = end + 1
        return len(chunk)

    def _begin(self) -> None:
        sha, *rest = self._header.decode("ascii", "replace").split(" ")
        self._header.clear()
        if len(rest) != 2:
            return  # `<sha> missing`
        kind, size = rest[0], int(rest[1])
        small = kind == self._kind and size <= self._blob_bytes_max
        self.overflown |= small and size > self._left
        self._blob = sha
        self._missing = size + 1  # Git ends each object with a line feed.
        self._kept = bytearray() if small and not self.overflown else None
        if kind == self._kind:
            self.found[sha] = None

    def _keep(self) -> None:
        if self._kept is not None:
            self._left -= len(self._kept) - 1
            self.found[self._blob] = bytes(self._kept[:-1])
        self._kept = None


def _ours(path: bytes, mode: str) -> bool:
    """Whether an entry is a manifest, or a way out of the repository that may not be here."""
    if path.startswith(b".") or b"/." in path:
        return False
    return mode in (_SYMLINK, _SUBMODULE) or path.endswith(_SUFFIXES)


def _is_manifest(path: bytes, mode: str) -> bool:
    return mode not in (_ABSENT, _SYMLINK, _SUBMODULE) and _ours(path, mode)


def _problem(raw: bytes, mode: str) -> Problem | None:
    """What is wrong with an entry apart from its content."""
    if mode == _SYMLINK:
        return Problem(
            _shown(raw), 1, 1, "a symbolic link is not read", "commit the manifest itself here"
        )
    if mode == _SUBMODULE:
        return Problem(
            _shown(raw), 1, 1, "a submodule is not read",
            "commit its manifests here, or make it a source of its own",
        )  # fmt: skip
    if _shown(raw) != raw.decode("utf-8", "replace"):
        return Problem(
            _shown(raw), 1, 1, "the path is not UTF-8, or cannot be printed",
            "rename the file with letters, digits, spaces, - and _",
        )  # fmt: skip
    if len(raw) > PATH_BYTES_MAX:
        return Problem(
            _shown(raw), 1, 1, f"the path is longer than {PATH_BYTES_MAX} bytes",
            "move the manifest further up",
        )  # fmt: skip
    return None


def _shown(raw: bytes) -> str:
    """A path that is safe to print: what is not is written as an escape."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
