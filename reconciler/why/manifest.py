"""A manifest line as it was at a commit, and who wrote it: read in the mirror, never fetched.

commit ──which mirror has it?──> commit:path ──> blob ──> the lines around
                                    └──blame──> the commit that wrote the line ──> people
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import lineage
from reconciler.git.commit_object import CommitObject
from reconciler.git.source import GitSource
from runner.contract import errors
from runner.contract.settings import Settings

AROUND: Final = 2
"""Lines shown before and after the one that counts."""
WIDTH_MAX: Final = 160
_LINE_MAX: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a manifest at a commit. `excerpt` is numbered; `fault` says what is missing."""

    path: str
    number: int
    blob: str | None = None
    excerpt: tuple[tuple[int, str], ...] = ()
    written: CommitObject | None = None
    fault: str | None = None

    @property
    def at(self) -> str:
        """`path:line`."""
        return f"{self.path}:{self.number}"


@dataclass(frozen=True, slots=True)
class Held:
    """The mirror that has a commit, under the name of its repository."""

    source: str
    git: GitSource
    head: CommitObject


def holder(settings: Settings, names: Iterable[str], commit: str | None) -> Held | None:
    """The first of these repositories whose mirror has the commit; None: none has."""
    if commit is None or not git_address.is_hash(commit):
        return None
    for name in dict.fromkeys((*names, *settings.followed)):
        git = lineage.opened(settings, name)
        if git is None:
            continue
        try:
            return Held(name, git, git.commit_info(commit))
        except errors.SourceError:
            continue  # This mirror does not have it, or has a hole where it was.
    return None


def line(held: Held, at: str) -> Line | None:
    """The line `path:number` at the commit; None when this is no place in a file."""
    path, _, digits = at.rpartition(":")
    if not path or not digits.isascii() or not digits.isdigit():
        return None
    number, commit = min(int(digits), _LINE_MAX), held.head.sha
    if not path.isprintable():
        return Line(path, number, fault="the path cannot be printed, so it names no manifest")
    named = f"{commit}:{path}\n".encode()
    head, _, content = held.git.ask("cat-file", "--batch", given=named).output.partition(b"\n")
    blob, *kind = head.decode("utf-8", "replace").split(" ")
    if not git_address.is_hash(blob) or kind[:1] != ["blob"]:
        return Line(path, number, fault=f"the mirror has no file {path} of that commit")
    lines = content.removesuffix(b"\n").decode("utf-8", "replace").splitlines()
    if not 0 < number <= len(lines):
        return Line(path, number, blob, fault=f"the file has {len(lines)} lines")
    first, last = max(1, number - AROUND), min(len(lines), number + AROUND)
    excerpt = tuple((at, lines[at - 1][:WIDTH_MAX]) for at in range(first, last + 1))
    return Line(path, number, blob, excerpt, _written(held, path, number))


def _written(held: Held, path: str, number: int) -> CommitObject | None:
    """The commit that last changed the line; None when the mirror cannot say."""
    found = held.git.ask(
        *("blame", "--porcelain", "-s", "-L", f"{number},{number}", held.head.sha),
        *("--", path),
    )
    sha = found.output[:64].decode("ascii", "replace").split(" ", 1)[0]
    if not found.ok or not git_address.is_hash(sha):
        return None
    if sha == held.head.sha:
        return held.head
    try:
        return held.git.commit_info(sha)
    except errors.SourceError:
        return None
