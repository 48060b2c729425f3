"""Which deletion and which creation are one resource that goes on under another name. Pure.

    said so by its annotation      `orloj.dev/moved-from: NAME`
    else the same spec             one of the kind went, one came, and no other says the same
    else git                       the one file became the other, each with one of the kind

Two candidates are no move: whoever knows better says so in the annotation. A move that is
not seen costs the history of a resource; one that is wrongly seen would give a schedule the
past of another. A Namespace never moves, since its name is what it rules.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from reconciler.change import Action, Change, ReasonCode
from reconciler.manifest import wording
from reconciler.problem import Problem
from reconciler.resource import Mention, Recorded, Resource
from runner.contract.kinds import Key

_STAYS: Final = frozenset({"Namespace"})

Renames = Mapping[str, tuple[str, int]]
"""The former path of a file by its new one, and how much of it is the same, in percent."""
_Pairs = dict[Key, tuple[Key, ReasonCode, str]]


def joined(changes: Iterable[Change], renames: Renames) -> list[Change]:
    """The changes in their order, each pair of a deletion and a creation as one move."""
    found = list(changes)
    gone, new = _sides(found)
    if not gone or not new:
        return found
    pairs: _Pairs = _declared(gone, new)
    _add(pairs, _same_spec(*_left(gone, new, pairs)))
    _add(pairs, _renamed(*_left(gone, new, pairs), renames))
    former = {old for old, _, _ in pairs.values()}
    return [
        _move(gone[pairs[change.key][0]], change, *pairs[change.key][1:])
        if change.key in pairs and change.action is Action.CREATE
        else change
        for change in found
        if change.action is not Action.DELETE or change.key not in former
    ]


def undecided(changes: Iterable[Change]) -> bool:
    """Whether git could say more: something went, and something of its kind came."""
    gone, new = _sides(changes)
    return bool({key.kind for key in gone} & {key.kind for key in new})


def likely(changes: Iterable[Change]) -> dict[Key, Key]:
    """What is new, with what went from the same file: a person may know them for one."""
    gone, new = _sides(changes)
    went, came = _by_file(gone), _by_file(new)
    return {
        keys[0]: went[place][0]
        for place, keys in came.items()
        if len(keys) == len(went.get(place, ())) == 1 and not _origins(new[keys[0]])
    }


def mistakes(
    changes: Iterable[Change],
    desired: Mapping[Key, Resource],
    standing: Mapping[Key, Recorded],
) -> list[Problem]:
    """What is wrong with annotations of resources that are new in these changes.

    `standing` holds what is recorded under the names they give. One that names nothing is
    left alone as long as nothing of its kind is deleted: its move is long over.
    """
    found = list(changes)
    problems: list[Problem] = []
    gone, new = _sides(found)
    claimed: dict[Key, Key] = {
        change.previous: change.key for change in found if change.previous is not None
    }
    for key, change in new.items():
        assert change.after is not None
        for mention in change.after.moved_from:
            if mention.target in claimed:
                other = claimed[mention.target]
                message = f"{mention.target} cannot become two: {other} says it was that, too"
                problems.append(_problem(change.after, mention, message))
            claimed[mention.target] = key
        problems += _unmoved(change.after, gone, desired, standing)
    for change in found:
        if change.action is Action.MOVE and change.after is not None:
            problems += _still_there(change.after, desired, standing, gone, change.previous)
    return sorted(set(problems))


def _sides(changes: Iterable[Change]) -> tuple[dict[Key, Change], dict[Key, Change]]:
    gone: dict[Key, Change] = {}
    new: dict[Key, Change] = {}
    for change in changes:
        if change.key.kind in _STAYS:
            continue
        if change.action is Action.DELETE:
            gone[change.key] = change
        elif change.action is Action.CREATE:
            new[change.key] = change
    return gone, new


def _left(
    gone: dict[Key, Change], new: dict[Key, Change], pairs: _Pairs
) -> tuple[dict[Key, Change], dict[Key, Change]]:
    former = {old for old, _, _ in pairs.values()}
    return (
        {key: change for key, change in gone.items() if key not in former},
        {key: change for key, change in new.items() if key not in pairs},
    )


def _declared(gone: Mapping[Key, Change], new: Mapping[Key, Change]) -> _Pairs:
    claims = [
        (key, mention.target)
        for key, change in new.items()
        for mention in _origins(change)
        if mention.target in gone
    ]
    count = Counter(target for _, target in claims)
    pairs: _Pairs = {}
    for key, target in claims:
        if count[target] == 1 and key not in pairs:
            pairs[key] = (target, ReasonCode.MOVE_DECLARED, "its annotation says so")
    return pairs


def _origins(change: Change) -> tuple[Mention, ...]:
    return change.after.moved_from if change.after is not None else ()


def _same_spec(gone: Mapping[Key, Change], new: Mapping[Key, Change]) -> _Pairs:
    went, came = _by_content(gone), _by_content(new)
    why = "it says the same, and nothing else of its kind does"
    return {
        came[content][0]: (keys[0], ReasonCode.MOVE_SAME_SPEC, why)
        for content, keys in went.items()
        if len(keys) == 1 and len(came.get(content, ())) == 1
        if not _origins(new[came[content][0]])  # It says itself what it was.
    }


def _by_content(side: Mapping[Key, Change]) -> dict[tuple[str, str], list[Key]]:
    found: dict[tuple[str, str], list[Key]] = {}
    for key, change in side.items():
        found.setdefault(_content(key, change), []).append(key)
    return found


def _content(key: Key, change: Change) -> tuple[str, str]:
    place = change.after or change.before
    assert place is not None
    return key.kind, place.spec_hash


def _renamed(gone: Mapping[Key, Change], new: Mapping[Key, Change], renames: Renames) -> _Pairs:
    went, came = _by_file(gone), _by_file(new)
    twins_gone, twins_new = _by_content(gone), _by_content(new)
    pairs: _Pairs = {}
    for (path, kind), keys in came.items():
        former, alike = renames.get(path, ("", 0))
        olds = went.get((former, kind), [])
        if len(keys) != 1 or len(olds) != 1 or _origins(new[keys[0]]):
            continue
        key, old = keys[0], olds[0]
        twins = {*twins_gone.get(_content(key, new[key]), ())} - {old}
        twins |= {*twins_new.get(_content(old, gone[old]), ())} - {key}
        if not twins:  # Else git picked one of several that say the same.
            why = f"git sees {former} renamed to {path}, {alike} % the same"
            pairs[key] = (old, ReasonCode.MOVE_FILE_RENAMED, why)
    return pairs


def _by_file(side: Mapping[Key, Change]) -> dict[tuple[str, str], list[Key]]:
    found: dict[tuple[str, str], list[Key]] = {}
    for key, change in side.items():
        place = change.after or change.before
        assert place is not None
        found.setdefault((place.path, key.kind), []).append(key)
    return found


def _add(pairs: _Pairs, more: _Pairs) -> None:
    pairs.update(more)


def _move(old: Change, new: Change, code: ReasonCode, why: str) -> Change:
    moved = replace(new, action=Action.MOVE, before=old.before, code=code)
    also = "; its manifest changed too" if moved.respecified else ""
    return replace(moved, reason=f"moved from {old.key}: {why}{also}")


def _unmoved(
    resource: Resource,
    gone: Mapping[Key, Change],
    desired: Mapping[Key, Resource],
    standing: Mapping[Key, Recorded],
) -> Iterator[Problem]:
    """What is wrong with the annotation of a resource that did not move."""
    yield from _still_there(resource, desired, standing, gone, None)
    known = desired.keys() | standing.keys() | gone.keys()
    if not resource.moved_from or any(m.target in known for m in resource.moved_from):
        return
    kind = resource.key.kind
    candidates = [key.name for key in gone if key.kind == kind]
    if candidates:
        first = resource.moved_from[0]
        message = f"there is no {first.target} that could have moved here"
        hint = wording.did_you_mean(first.target.name, candidates)
        hint = hint or f"deleted here: {', '.join(sorted(candidates)[:5])}"
        yield _problem(resource, first, message, hint)


def _still_there(
    resource: Resource,
    desired: Mapping[Key, Resource],
    standing: Mapping[Key, Recorded],
    gone: Mapping[Key, Change],
    previous: Key | None,
) -> Iterator[Problem]:
    for mention in resource.moved_from:
        there = standing.get(mention.target)
        # One that is new as well took the place of what moved long ago.
        if there is None or mention.target in gone or mention.target == previous:
            continue
        place = desired.get(mention.target, there)
        message = f"{mention.target} has not moved: {place.path}:{place.line} declares it"
        yield _problem(resource, mention, message, "take out that, or this annotation")


def _problem(
    resource: Resource, mention: Mention, message: str, hint: str | None = None
) -> Problem:
    return Problem(resource.path, mention.line, mention.column, message, hint)
