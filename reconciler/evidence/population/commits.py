"""What Git says of the commits that entries name. Reads the mirror, fetches nothing.

    applied before .. applied now ──> every commit between ──> who wrote, signed, reviewed

A name in a commit is what the commit says of itself. A signature is shown with its key; that
the key was trusted is what `trust` decided before the commit was applied.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import history
from reconciler.git.command import GitCommand
from reconciler.git.commit_object import CommitObject
from reconciler.git.mirror import Mirror
from reconciler.trust import ssh_signature
from runner.contract import errors

_TIMEOUT_S: Final = 60.0
_REVIEWS: Final = ("reviewed-by", "approved-by")
_WRITES: Final = "co-authored-by"
_MIRROR: Final = "mirror.git"
PEOPLE_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Brought:
    """What came with a commit since the one that was applied before it.

    `signature` is the fingerprint of an SSH key, `OpenPGP`, `none`, or what is wrong with it.
    `reviewers` are as the commits name them. `complete` is no when there were too many
    commits to read.
    """

    subject: str
    authors: tuple[str, ...]
    committers: tuple[str, ...]
    reviewers: tuple[str, ...]
    signature: str
    commits: int
    fast_forward: bool
    complete: bool


class Commits:
    """A mirror of the repository, for reading."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def brought(self, before: str | None, commit: str) -> Brought | None:
        """What a commit brought; None when the mirror cannot say."""
        if not git_address.is_hash(commit):
            return None
        try:
            found = history.read(self.mirror, before, commit)
        except errors.SourceError:
            # Without the older one the newer one may still be there.
            return self.brought(None, commit) if before is not None else None
        read = found.commits or (found.newest,)
        return Brought(
            subject=found.newest.subject,
            authors=_people(_authors(read)),
            committers=_people(one.committer for one in read),
            reviewers=_people(_named(read, _REVIEWS)),
            signature=_signature(found.newest),
            commits=len(read),
            fast_forward=found.fast_forward,
            complete=found.complete,
        )


@contextmanager
def opened(folder: Path | None) -> Iterator[Commits | None]:
    """The bare repository in a folder; None without one.

    Git gets a home and a configuration that are gone afterwards: those of the daemon hold
    its credentials, and are left alone.
    """
    if folder is None or not (folder / "HEAD").is_file():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="orloj-evidence-") as place:
        home = Path(place)
        (home / _MIRROR).symlink_to(folder.resolve())
        address = git_address.parse(folder.resolve().as_uri())
        yield Commits(
            Mirror(GitCommand(address, home, _TIMEOUT_S), address.url, home, _TIMEOUT_S)
        )


def _authors(read: tuple[CommitObject, ...]) -> Iterator[str]:
    for one in read:
        yield one.author
    yield from _named(read, (_WRITES,))


def _named(read: tuple[CommitObject, ...], names: tuple[str, ...]) -> Iterator[str]:
    return (
        value for one in read for name, value in one.trailers if name.lower() in names and value
    )


def _people(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))[:PEOPLE_MAX]


def _signature(commit: CommitObject) -> str:
    if commit.signature is None:
        return "none"
    if b"BEGIN PGP" in commit.signature:
        return "OpenPGP"
    found = ssh_signature.read(commit.signature)
    return found.fault or found.key
