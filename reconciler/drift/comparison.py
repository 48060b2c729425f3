"""One resource against what it should be. Pure.

    the commit ──declares──> standard ──┐
    the log ────says───────> testimony ─┼──> drifts
    the tables ─hold───────> standing ──┘

Each is made of digests: a look at ten thousand resources compares short texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.drift.drift import Drift, DriftKind
from runner.contract.kinds import Key

SHOWN: Final = 15  # `sha256:` and eight digits.
TEXT_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Standard:
    """What a resource should be, as the commit declares it."""

    spec_hash: str
    path: str
    line: int
    blob: str | None
    lines: str
    references: str
    sealed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Testimony:
    """What the log says of a resource: what was applied last, at which commit, by whom."""

    spec_hash: str
    commit: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the tables hold, whatever it is: digests where it can be read, else marks.

    `readable` is false when a field is not even of its type. `unsealed` are the digests of
    secret values that are gone or are others.
    """

    owner: str
    body_hash: str
    spec_hash: str
    commit: str
    path: str
    line: int
    blob: str | None
    lines: str
    references: str
    readable: bool = True
    unsealed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """One resource to be compared; `owner` is the repository's."""

    key: Key
    owner: str
    standard: Standard | None
    standing: Standing | None
    testimony: Testimony | None = None


def drifts(ask: Ask) -> Iterator[Drift]:
    """How a resource of a repository differs from its commit."""
    if ask.standard is None:
        if ask.standing is not None and ask.standing.owner == ask.owner:
            sentence = f"it is recorded as {ask.owner}'s, and the commit does not declare it"
            yield _drift(ask, DriftKind.EXTRA, sentence, ask.standing.body_hash)
        return
    if ask.standing is None:
        sentence = (
            f"{ask.standard.path}:{ask.standard.line} declares it, and it is not recorded"
        )
        yield _drift(ask, DriftKind.MISSING, sentence)
        return
    yield from _edited(ask, ask.standard, ask.standing)
    yield from _elsewhere(ask, ask.standard, ask.standing)
    yield from _unlogged(ask, ask.standard, ask.standing)


def outside(ask: Ask) -> Iterator[Drift]:
    """What is to be said of a resource that belongs to no repository that is followed."""
    standing, testimony = ask.standing, ask.testimony
    if standing is None:
        return
    if not standing.readable or standing.body_hash != standing.spec_hash:
        sentence = "its body is not the one that its digest was made of"
        yield _drift(ask, DriftKind.EDITED, sentence, standing.body_hash)
    elif testimony is None:
        sentence = f"{cut(standing.owner)} is said to have applied it, and the log has no entry"
        yield _drift(ask, DriftKind.UNLOGGED, sentence, standing.body_hash)
    elif (testimony.spec_hash, testimony.actor) != (standing.spec_hash, standing.owner):
        sentence = (
            f"the log says that {testimony.actor} applied {_short(testimony.spec_hash)}, and"
            f" recorded is {_short(standing.spec_hash)} of {cut(standing.owner)}"
        )
        yield _drift(ask, DriftKind.UNLOGGED, sentence, standing.body_hash)
    else:
        sentence = f"{cut(standing.owner)} applied it from {cut(standing.path)}, outside Git"
        yield _drift(ask, DriftKind.BY_HAND, sentence, standing.body_hash)


def _edited(ask: Ask, standard: Standard, standing: Standing) -> Iterator[Drift]:
    if not standing.readable:
        sentence = "its row cannot be read: a field in it is not of its type"
        yield _drift(ask, DriftKind.EDITED, sentence, standing.body_hash)
        return
    if standing.body_hash == standard.spec_hash == standing.spec_hash:
        return
    if standing.body_hash == standard.spec_hash:
        sentence = "its digest was changed, its body is the one declared"
    elif standing.body_hash == standing.spec_hash:
        sentence = "its body was changed, and its digest with it"
    else:
        sentence = "its body was changed, and its digest does not fit"
    yield _drift(ask, DriftKind.EDITED, sentence, standing.body_hash + standing.spec_hash)


def _elsewhere(ask: Ask, standard: Standard, standing: Standing) -> Iterator[Drift]:
    if standing.owner != ask.owner:
        sentence = f"it is recorded as {cut(standing.owner)}'s; {ask.owner} declares it"
        yield _drift(ask, DriftKind.DISOWNED, sentence, standing.owner)
    places = [
        (name, was, now)
        for name, was, now in (
            ("path", standard.path, standing.path),
            ("line", standard.line, standing.line),
            ("blob", standard.blob, standing.blob),
            ("lines of its fields", standard.lines, standing.lines),
            ("commit", _commit(ask), standing.commit),
        )
        if was != now and standing.readable
    ]
    if places:
        named = "; ".join(_place(*place) for place in places)
        found = repr([now for _, _, now in places])
        yield _drift(ask, DriftKind.REBOUND, named, found)
    if standing.references != standard.references:
        sentence = "what it names is not recorded as its manifest says"
        yield _drift(ask, DriftKind.REFERENCES, sentence, standing.references)
    if standing.unsealed:
        count = len(standing.unsealed)
        values = "a secret value is" if count == 1 else f"{count} secret values are"
        sentence = f"{values} gone or not the one that its digest stands for"
        yield _drift(ask, DriftKind.UNSEALED, sentence, repr(standing.unsealed))


def _commit(ask: Ask) -> str:
    """The commit that it was last changed at; only the log knows."""
    known = ask.testimony is not None and ask.standard is not None
    if known and ask.testimony and ask.standard and ask.testimony.actor == ask.owner:
        return ask.testimony.commit
    return ask.standing.commit if ask.standing else ""


def _unlogged(ask: Ask, standard: Standard, standing: Standing) -> Iterator[Drift]:
    testimony = ask.testimony
    if testimony is None or standing.body_hash != standard.spec_hash:
        return  # Told as edited, or older than the log.
    if (testimony.spec_hash, testimony.actor) != (standard.spec_hash, ask.owner):
        sentence = (
            f"the log says that {testimony.actor} applied {_short(testimony.spec_hash)} last,"
            f" and the commit declares {_short(standard.spec_hash)}"
        )
        yield _drift(ask, DriftKind.UNLOGGED, sentence, testimony.spec_hash)


def _place(name: str, was: object, now: object) -> str:
    if name in ("path", "line"):
        return f"{name} {was} is recorded as {cut(str(now))}"
    return f"the {name} is not the one applied"


def _drift(ask: Ask, kind: DriftKind, sentence: str, found: str = "") -> Drift:
    declared = ask.standard is not None
    return Drift(str(ask.key), kind, sentence, found, declared, ask.key)


def _short(digest: str) -> str:
    return digest[:SHOWN]


def cut(text: str) -> str:
    """The beginning of what somebody else may have written."""
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
