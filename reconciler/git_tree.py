"""What git prints about trees and blobs, as values. Pure.

Only plain files named `*.yaml` or `*.yml` are manifests; a file or folder whose name begins
with a dot is somebody else's. A symlink or a submodule among the manifests is a Problem,
for it would make the content depend on something that the commit does not hold.
"""

from dataclasses import dataclass
from typing import Final

from reconciler.problem import Problem

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
    """The manifests of a commit, and what may not be among them."""

    files: tuple[TreeFile, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the manifests of two commits, and what may not be among them."""

    changes: tuple[TreeChange, ...]
    problems: tuple[Problem, ...] = ()


def listing(output: bytes, prefix: str) -> Listing:
    """The manifests in the output of `ls-tree -r -z` that lie under the prefix."""
    files: list[TreeFile] = []
    problems: list[Problem] = []
    hidden = len(prefix.encode())
    for entry in output.split(b"\0"):
        if not entry:
            continue
        head, _, raw = entry.partition(b"\t")
        mode, _, blob = head.decode("ascii").split(" ")
        if not _ours(raw[hidden:], mode):
            continue
        if problem := _problem(raw, mode):
            problems.append(problem)
        else:
            files.append(TreeFile(raw.decode(), blob, mode))
    return Listing(tuple(files), tuple(problems))


def changes(output: bytes, prefix: str) -> Changes:
    """The differences in the output of `diff-tree -r -z --raw` that lie under the prefix."""
    found: list[TreeChange] = []
    problems: list[Problem] = []
    hidden = len(prefix.encode())
    parts = output.split(b"\0")
    for head, raw in zip(parts[0::2], parts[1::2], strict=False):
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


def sizes(output: bytes) -> dict[str, int]:
    """The size of each blob in the output of `cat-file --batch-check`; no other object."""
    lines = (line.split(" ") for line in output.decode("utf-8", "replace").splitlines())
    return {line[0]: int(line[2]) for line in lines if len(line) == 3 and line[1] == "blob"}


def contents(output: bytes) -> dict[str, bytes]:
    """The content of each blob in the output of `cat-file --batch`."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        sha, kind, size = output[at:end].decode("ascii").split(" ")
        assert kind == "blob", "the sizes were asked first, and only blobs have any"
        found[sha] = output[end + 1 : end + 1 + int(size)]
        at = end + 1 + int(size) + 1
    return found


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
    return None


def _shown(raw: bytes) -> str:
    """A path that is safe to print: what is not is written as an escape."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
