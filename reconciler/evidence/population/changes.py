"""Every commit that was applied, and whether somebody else than its authors had a look.

    manifest.overridden ──┐
    manifest.applied ─────┴──> Change ──at the end, from Git──> people, four eyes
    resource.*, manifest.widened ──> what it changed

The commit of an entry says who wrote it. Four eyes are `yes` when a reviewer is named whose
address is none of the writers', `no` when nobody is, `unknown` when Git cannot say. What a
trailer says is as true as whoever signed the commit is careful: the reason says so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from reconciler.evidence.population.commits import Brought, Commits
from reconciler.evidence.population.spool import Spool
from runner.contract.audit_entry import NO_COMMIT

_PLAN: Final = "plan"
YES, NO, UNKNOWN = "yes", "no", "unknown"
_KIND: Final = "change"
_KNOWN: Final = "change with people"
_APPLIED: Final = ("manifest.applied", "manifest.reverted")
_COUNTED: Final = {
    "resource.created": "created",
    "resource.updated": "updated",
    "resource.moved": "updated",
    "resource.deleted": "deleted",
    "manifest.widened": "widened",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A commit that was applied. `seq` is its entry, `before` the commit applied until then.

    `overrides` are what somebody let pass in it, each as `kind: who`. `reverted` says that it
    put an earlier state back. People are as the commits between name them.
    """

    seq: int
    time_us: int
    owner: str
    commit: str
    plan: str
    counts: str
    before: str | None = None
    reverted: bool = False
    created: int = 0
    updated: int = 0
    deleted: int = 0
    widened: int = 0
    overrides: tuple[str, ...] = ()
    subject: str = ""
    authors: tuple[str, ...] = ()
    committers: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    signature: str = UNKNOWN
    commits: int = 0
    fast_forward: str = UNKNOWN
    four_eyes: str = UNKNOWN
    why: str = "no mirror of the repository was at hand"

    @property
    def id(self) -> str:
        """What the change is called in samples and tables."""
        return str(self.seq)


class Changes:
    """Collects the changes of a period."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._last: dict[str, str] = {}
        self._open: dict[str, Change] = {}
        self._lets: dict[tuple[str, str], list[str]] = {}
        self.rejected = 0

    def take(self, fields: dict[str, Any]) -> Change | None:
        """Look at an entry; the change that it begins."""
        kind, owner = fields["type"], fields.get("actor", "")
        if kind in _APPLIED:
            return self._begin(fields)
        if kind in _COUNTED and owner in self._open:
            self._count(self._open[owner], fields)
        elif kind == "manifest.overridden":
            source = str(fields.get("resource", "")).removeprefix("source/")
            lets = self._lets.setdefault((fields["commit"], source), [])
            lets.append(f"{fields.get('outcome', '')}: {owner}")
        elif kind == "manifest.rejected":
            self.rejected += 1
        return None

    def change_of(self, fields: dict[str, Any]) -> str | None:
        """The id of the change that an entry is part of."""
        open = self._open.get(fields.get("actor", ""))
        return open.id if open is not None and open.commit == fields["commit"] else None

    def end(self, commits: Commits | None) -> None:
        """Ask Git who wrote, signed and reviewed what was applied."""
        for change in self._open.values():
            self._put(change)
        for _, item in self._spool.each(_KIND):
            change = _change(item)
            if commits is not None:
                brought = commits.brought(change.before, change.commit)
                change = with_people(change, brought)
            self._spool.put(_KNOWN, change.id, change.seq, asdict(change))

    def each(self) -> Iterator[Change]:
        """Every change, oldest first."""
        return (_change(item) for _, item in self._spool.each(_KNOWN))

    @property
    def count(self) -> int:
        """How many there are."""
        return self._spool.count(_KNOWN)

    def _begin(self, fields: dict[str, Any]) -> Change:
        owner, commit = fields["actor"], fields["commit"]
        if owner in self._open:
            self._put(self._open[owner])
        lets = self._lets_of(owner, commit)
        self._open[owner] = Change(
            seq=fields["seq"],
            time_us=fields["time"],
            owner=owner,
            commit=commit,
            plan=fields.get("digest") or "",
            counts=fields.get("outcome") or "",
            before=self._last.get(owner),
            reverted=fields["type"] == "manifest.reverted",
            overrides=tuple(lets),
        )
        if commit != NO_COMMIT:
            self._last[owner] = commit
        return self._open[owner]

    def _lets_of(self, owner: str, commit: str) -> list[str]:
        """What was let pass in a commit: an override names its repository or a resource."""
        source = owner.removeprefix("git:")
        found = [key for key in self._lets if key[0] == commit]
        mine = [key for key in found if "/" in key[1] or key[1] in (source, "")]
        return [one for key in mine for one in self._lets.pop(key)]

    def _count(self, change: Change, fields: dict[str, Any]) -> None:
        if fields["commit"] == change.commit:
            name = _COUNTED[fields["type"]]
            more: dict[str, Any] = {name: getattr(change, name) + 1}
            self._open[change.owner] = replace(change, **more)

    def _put(self, change: Change) -> None:
        self._spool.put(_KIND, change.id, change.seq, asdict(change))


def with_people(change: Change, brought: Brought | None) -> Change:
    """A change with what Git says of the people behind it."""
    if brought is None:
        why = "applied by hand, not from a commit" if change.commit == NO_COMMIT else ""
        return replace(change, why=why or "the commit cannot be read in the mirror")
    verdict, why = four_eyes(brought, change.overrides)
    forward = (YES if brought.fast_forward else NO) if change.before else UNKNOWN
    return replace(
        change,
        subject=brought.subject,
        authors=brought.authors,
        committers=brought.committers,
        reviewers=brought.reviewers,
        signature=brought.signature,
        commits=brought.commits,
        fast_forward=forward,
        four_eyes=verdict,
        why=why,
    )


def four_eyes(brought: Brought, overrides: Iterable[str] = ()) -> tuple[str, str]:
    """Whether somebody had a look who wrote none of it, and how that is known."""
    if not brought.complete:
        return UNKNOWN, "there are too many commits to read all of their authors"
    writers = _addresses((*brought.authors, *brought.committers))
    others = [name for name in brought.reviewers if _address(name) not in writers]
    if others:
        return YES, f"the commit names {others[0]} as a reviewer, who wrote none of it"
    if brought.reviewers:
        return NO, "only who wrote or committed it is named as a reviewer"
    for given in overrides:
        kind, _, who = given.partition(": ")
        if kind == _PLAN:
            why = f"{who} approved the plan; whether that is an author, no e-mail tells"
            return UNKNOWN, why
    return NO, "no commit names a reviewer"


def _addresses(names: Iterable[str]) -> set[str]:
    return {_address(name) for name in names}


def _address(name: str) -> str:
    """The e-mail of `Name <e-mail>`, or the whole, so that letter case hides nobody."""
    found = name.rpartition("<")[2].rstrip("> ") if "<" in name else name
    return found.strip().casefold()


def _change(item: dict[str, Any]) -> Change:
    lists = ("overrides", "authors", "committers", "reviewers")
    whole: dict[str, Any] = {**item, **{name: tuple(item[name]) for name in lists}}
    return Change(**whole)
