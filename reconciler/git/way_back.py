"""Write the commit that takes a branch back to an earlier tree, by plumbing; no checkout.

    head ──resolve, fetch──> tree of the earlier commit under the folder, all else of head's
         ──commit-tree──> one new commit on top of head ──push──> the branch, never by force

History stays: what is undone can be undone again. The objects are made in our mirror. If the
branch moves meanwhile, the push is refused and nothing is lost.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git.command import Outcome
from reconciler.git.source import GitSource
from runner.contract import errors

_MOVED: Final = ("stale info", "fetch first", "non-fast-forward", "failed to lock")
_SAID_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Person:
    """Who the commit is by."""

    name: str
    mail: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """Whether the branch is at the new commit; else why not, in git's words."""

    done: bool
    moved: bool = False
    words: str = ""


def tree_of(git: GitSource, head: str, commit: str, folder: str) -> str:
    """The tree of `head` with what `commit` has under the folder; SourceStalled.

    The folder is a path in the repository; empty: all of it.
    """
    if not folder:
        return _named(git, f"{commit}^{{tree}}")
    inner = _find(git, f"{commit}:{folder}")
    if inner is None:
        raise errors.SourceStalled(
            "PathNotFound", f"commit {commit[:12]} has no folder {folder!r} to go back to"
        )
    parts = folder.split("/")
    for depth in range(len(parts) - 1, -1, -1):
        above = "/".join(parts[:depth])
        level = _find(git, f"{head}:{above}" if above else f"{head}^{{tree}}")
        inner = _with(git, level, parts[depth], inner)
    return inner


def written(git: GitSource, tree: str, head: str, message: str, person: Person) -> str:
    """A new commit of a tree on top of `head`, in the mirror."""
    made = git.ask(
        *("-c", f"user.name={person.name}", "-c", f"user.email={person.mail}"),
        *("-c", "commit.gpgSign=false", "commit-tree", tree, "-p", head, "-F", "-"),
        given=message.encode(),
    )
    return _hash(made)


def pushed(git: GitSource, commit: str, head: str, url: str | None = None) -> Pushed:
    """Move the branch from `head` to the commit, if it is still there."""
    outcome = git.push(commit, head, url)
    if outcome.ok:
        return Pushed(True)
    said = outcome.said + outcome.output.decode("utf-8", "replace")
    moved = any(sign in said for sign in _MOVED)
    lines = [line for line in said.splitlines() if line.startswith(("remote: ", "!"))]
    words = "; ".join(git_address.plain(line.strip()) for line in lines[:_SAID_MAX])
    return Pushed(False, moved, words or outcome.words)


def person_of(git: GitSource, files: list[Path]) -> tuple[str | None, str | None]:
    """The name and mail that somebody gave git in these files; the last one that says wins."""
    found: list[str | None] = [None, None]
    for file in files:
        if file.is_file():
            for at, key in enumerate(("user.name", "user.email")):
                answer = git.ask("config", "--file", str(file), "--get", key)
                if answer.ok and (value := answer.output.decode("utf-8", "replace").strip()):
                    found[at] = value
    return found[0], found[1]


def _with(git: GitSource, level: str | None, name: str, tree: str) -> str:
    """A tree with another one under a name."""
    entries: list[bytes] = []
    if level is not None:
        listed = git.ask("ls-tree", "-z", "--end-of-options", level)
        if not listed.ok:
            raise _unwritten(listed)
        entries = [entry for entry in listed.output.split(b"\0") if entry]
    kept = [entry for entry in entries if entry.partition(b"\t")[2] != name.encode()]
    kept.append(f"040000 tree {tree}\t{name}".encode())
    given = b"".join(entry + b"\0" for entry in kept)
    return _hash(git.ask("mktree", "-z", given=given))


def _named(git: GitSource, name: str) -> str:
    found = _find(git, name)
    if found is None:
        raise errors.SourceStalled("CommitNotFound", f"the mirror does not have {name}")
    return found


def _find(git: GitSource, name: str) -> str | None:
    answer = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", name)
    return answer.output.decode("ascii", "replace").strip() if answer.ok else None


def _hash(made: Outcome) -> str:
    name = made.output.decode("ascii", "replace").strip()
    if not made.ok or not git_address.is_hash(name):
        raise _unwritten(made)
    return name


def _unwritten(outcome: Outcome) -> errors.SourceWaiting:
    return errors.SourceWaiting(
        "MirrorUnreadable", f"the commit cannot be written into the mirror ({outcome.words})"
    )
