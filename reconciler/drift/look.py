"""One look at the resources of a repository, in slices that hold nothing up.

    the log ─> the commit ─> its resources, 250 at a time ─> extra ones ─> outside Git ─> over
       └── log, mirror and source disagree on the commit: that is told, and no row compared

A slice is one short read. A commit that is applied in between begins the look anew. What
the rows should be is never taken from the rows.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from reconciler import recorded
from reconciler.drift import comparison, rows
from reconciler.drift.comparison import Ask
from reconciler.drift.drift import Drift, DriftKind
from reconciler.drift.standard import Standards
from reconciler.drift.testimony import Testimonies
from reconciler.preview import Place
from reconciler.resource import git_owner
from runner.contract import errors, seal
from runner.contract.kinds import Key

SLICE: Final = 250
DRIFTS_MAX: Final = 1_000
"""Drifts that one look keeps; more are counted."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found: the drifts in order, how many there are, and what was looked at."""

    source: str
    commit: str | None
    drifts: tuple[Drift, ...]
    total: int
    examined: int

    @property
    def commit_doubted(self) -> bool:
        """Whether it is not even sure which commit was applied: nothing is put back then."""
        doubts = (DriftKind.UNLOGGED, DriftKind.ROLLED_BACK)
        subject = source_subject(self.source)
        return any(item.subject == subject and item.kind in doubts for item in self.drifts)


@dataclass(slots=True)
class _Round:
    commit: str | None
    drifts: list[Drift] = field(default_factory=list)
    total: int = 0
    position: int = 0
    compared: bool = False
    outside: Iterator[Key | None] | None = None

    def add(self, found: Iterator[Drift]) -> None:
        for drift in found:
            self.total += drift.counts
            if len(self.drifts) < DRIFTS_MAX:
                self.drifts.append(drift)


class Looks:
    """Looks at one repository, one after the other; what does not change is read once.

    `first` says that what belongs to no repository is looked at here as well; `followed`
    are the names of all that are.
    """

    def __init__(
        self,
        place: Place,
        sealer: seal.Sealer,
        settings_digest: str,
        *,
        first: bool,
        followed: Collection[str],
    ) -> None:
        self.place = place
        self._sealer = sealer
        self._digest = settings_digest
        self._first = first
        self._owners = [git_owner(name) for name in followed]
        self.standards = Standards(place.loader)
        self.testimonies = Testimonies()
        self._round: _Round | None = None

    def whole(self) -> Looked:
        """A whole look at once; SourceError."""
        while (looked := self.step()) is None:
            pass
        return looked

    def step(self) -> Looked | None:
        """Go on with a look, or begin one; what it found once it is over. SourceError."""
        with self.place.database.read() as connection:
            if not self.testimonies.advance(connection):
                return None
            state = recorded.source(connection, self.place.source)
            commit = state.applied_commit if state else None
            if state and commit and state.settings_digest != self._digest:
                raise errors.SourceWaiting(
                    "SettingsChanged",
                    "settings or version are not those that the commit was applied with: it"
                    " is applied anew first; run orloj reconcile",
                )
            if self._round is None or self._round.commit != commit:
                self._round = _Round(commit)
                self._round.add(self._doubts(connection, commit))
                self._round.compared = commit is None or self._round.total > 0
            current = self._round
            if commit and not current.compared:
                current.compared = self._compared(connection, current, commit)
                if not current.compared:
                    return None
            if not self._looked_outside(connection, current):
                return None
            self._round = None
        return self._looked(current)

    def _looked(self, over: _Round) -> Looked:
        drifts = tuple(sorted(over.drifts, key=lambda d: (d.subject, d.kind, d.sentence)))
        return Looked(self.place.source, over.commit, drifts, over.total, over.position)

    def _doubts(self, connection: Connection, commit: str | None) -> Iterator[Drift]:
        """Whether log and mirror agree that this commit was applied last."""
        said = self.testimonies.applied(self.place.owner)
        subject = source_subject(self.place.source)
        if said != commit:
            sentence = (
                f"the log says that {_short(said)} was applied last, and recorded is"
                f" {_short(commit)}: the next pass applies what the repository says"
            )
            yield Drift(subject, DriftKind.UNLOGGED, sentence, str(commit))
        elif commit is not None:
            pins = self.place.git.pins_after(commit)
            known = rows.applied_once(connection, self.place.source, pins)
            if later := sorted(set(pins) - known):
                sentence = (
                    f"{_short(later[0])} was applied after {_short(commit)}, and the recorded"
                    " state knows nothing of it: an older copy of the database was put back"
                )
                yield Drift(subject, DriftKind.ROLLED_BACK, sentence, repr(later))

    def _compared(self, connection: Connection, current: _Round, commit: str) -> bool:
        """Compare some more of what the commit declares; whether all of it was."""
        if not self.standards.advance(connection, commit):
            return False
        keys = self.standards.keys
        if current.position < len(keys):
            some = keys[current.position : current.position + SLICE]
            for ask in self._asks(connection, some):
                current.add(comparison.drifts(ask))
            current.position += len(some)
            if current.position < len(keys):
                return False
        current.add(self._extra(connection))
        return True

    def _asks(self, connection: Connection, keys: Sequence[Key]) -> Iterator[Ask]:
        standards = {key: self.standards.get(key) for key in keys}
        sealed = {key: item.sealed for key, item in standards.items() if item}
        standing = rows.standing(connection, keys, sealed, self._sealer)
        for key in keys:
            testimony = self.testimonies.get(str(key))
            yield Ask(key, self.place.owner, standards[key], standing.get(key), testimony)

    def _extra(self, connection: Connection) -> Iterator[Drift]:
        owned = rows.owned(connection, self.place.owner)
        undeclared = [key for key in owned if key is None or self.standards.get(key) is None]
        yield from _illegible(undeclared)
        known = [key for key in undeclared if key is not None][:DRIFTS_MAX]
        for ask in self._asks(connection, known):
            yield from comparison.drifts(ask)

    def _looked_outside(self, connection: Connection, current: _Round) -> bool:
        """Look at some more of what no repository owns; whether at all of it."""
        if not self._first:
            return True
        if current.outside is None:
            current.outside = iter(list(rows.elsewhere(connection, self._owners)))
        some = list(islice(current.outside, SLICE))
        current.add(_illegible(some))
        declared = self.standards.get
        known = [key for key in some if key is not None and declared(key) is None]
        for ask in self._asks(connection, known):
            current.add(comparison.outside(ask))
        return len(some) < SLICE


def source_subject(name: str) -> str:
    """The subject of what is said of a repository itself."""
    return f"source/{name}"


def _illegible(keys: list[Key | None]) -> Iterator[Drift]:
    if count := sum(key is None for key in keys):
        sentence = f"{count} rows have a name that is no text: nothing can name them"
        yield Drift("resource/?", DriftKind.EXTRA, sentence, str(count))


def _short(commit: str | None) -> str:
    return f"commit {comparison.cut(commit)[:8]}" if commit else "nothing"
