"""What a commit brings: every commit that it stands on and the applied one does not.

    old...new ──rev-list──> new's side, old's side, and the edges between
                   └──cat-file──> each commit of new's side, from its own bytes

Two processes, whatever is asked of it. No commit on old's side means that the history went
on (a fast-forward). What is too much to read is said to be incomplete, never left out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.git import commit_object
from reconciler.git.command import Outcome
from reconciler.git.commit_object import CommitObject
from reconciler.git.mirror import Mirror
from reconciler.git.tree import BlobReader
from runner.contract import errors

COMMITS_MAX: Final = 500
"""A push brings a handful. Each of them costs whoever judges signatures a process or two."""
COMMIT_BYTES_MAX: Final = 256 * 1024
COMMITS_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The commits from an old one, excluded, to a new one, newest first.

    `edges` are those that the old one has too and that some of `commits` follow. If not
    `complete` there are more than COMMITS_MAX, and `edges` is empty.
    """

    newest: CommitObject
    commits: tuple[CommitObject, ...] = ()
    edges: frozenset[str] = frozenset()
    fast_forward: bool = True
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    shas: tuple[str, ...]
    edges: frozenset[str]
    forward: bool = True
    complete: bool = True


def read(mirror: Mirror, old: str | None, new: str, *, whole: bool = False) -> History:
    """What `new` brings; without an `old` only itself, or its `whole` history.

    SourceError if the mirror cannot say.
    """
    if new == old or (old is None and not whole):
        newest = _objects(mirror, [new])[new]
        return History(newest=newest, commits=() if old else (newest,))
    listing = _listed(mirror, old, new)
    found = _objects(mirror, dict.fromkeys((new, *listing.shas)))
    return History(
        newest=found[new],
        commits=tuple(found[sha] for sha in listing.shas),
        edges=listing.edges,
        fast_forward=listing.forward,
        complete=listing.complete,
    )


def _listed(mirror: Mirror, old: str | None, new: str) -> _Listing:
    if old is None:
        return _asked(mirror, new)
    outcome = _rev_list(mirror, f"{old}...{new}")
    if not outcome.ok:
        # A whole fetch of `new` would have brought its ancestors: this one is none of them.
        if mirror.ask("cat-file", "-e", f"{old}^{{commit}}").ok:
            raise mirror.unreadable(outcome)
        return _asked(mirror, new, forward=False)
    marked = list(_marked(outcome))
    if any(mark == "<" for mark, _ in marked):
        return _asked(mirror, f"^{old}\n{new}", forward=False)
    listing = _listing(marked)
    if listing.complete:
        return listing
    forward = mirror.ask("merge-base", "--is-ancestor", "--end-of-options", old, new).ok
    return _Listing(shas=listing.shas, edges=listing.edges, forward=forward, complete=False)


def _asked(mirror: Mirror, revisions: str, *, forward: bool = True) -> _Listing:
    outcome = _rev_list(mirror, revisions)
    if not outcome.ok:
        raise mirror.unreadable(outcome)
    return _listing(list(_marked(outcome)), forward=forward)


def _rev_list(mirror: Mirror, revisions: str) -> Outcome:
    # As input and not as arguments: there is no option that could hide in it.
    given = f"{revisions}\n".encode("ascii")
    bound = f"--max-count={COMMITS_MAX + 1}"
    return mirror.ask("rev-list", "--left-right", "--boundary", bound, "--stdin", given=given)


def _marked(outcome: Outcome) -> Iterator[tuple[str, str]]:
    for line in outcome.output.decode("ascii", "replace").splitlines():
        yield (line[0], line[1:]) if line[:1] in "<>-" else (">", line)


def _listing(marked: list[tuple[str, str]], *, forward: bool = True) -> _Listing:
    shas = tuple(sha for mark, sha in marked if mark != "-")
    if len(shas) > COMMITS_MAX:
        # Where the list was cut, git marks as an edge what is none.
        return _Listing(
            shas=shas[:COMMITS_MAX], edges=frozenset(), forward=forward, complete=False
        )
    edges = frozenset(sha for mark, sha in marked if mark == "-")
    return _Listing(shas=shas, edges=edges, forward=forward)


def _objects(mirror: Mirror, shas: Iterable[str]) -> Mapping[str, CommitObject]:
    """The commits of these hashes; the first must be small enough to be read."""
    wanted = list(shas)
    reader = BlobReader(COMMIT_BYTES_MAX, COMMITS_BYTES_MAX, kind="commit")
    given = "".join(f"{sha}\n" for sha in wanted).encode("ascii")
    mirror.read("cat-file", "--batch", "--buffer", given=given, into=reader)
    if missing := set(wanted) - reader.found.keys():
        why = f"commit {min(missing)[:12]} is missing"
        raise mirror.unreadable(Outcome(1, b"", why))
    if reader.found[wanted[0]] is None:
        raise errors.SourceStalled(
            "TooLarge",
            f"commit {wanted[0][:12]} is larger than {COMMIT_BYTES_MAX >> 10} KiB, which no"
            " message needs: shorten it with git commit --amend, and push again",
        )
    return {
        sha: commit_object.read(sha, raw)
        if (raw := reader.found[sha]) is not None
        else CommitObject(sha=sha, fault="it is too large to be read")
        for sha in wanted
    }
