"""A part of a plan, to be read: the changes that somebody names, and those they need. Pure.

A commit is applied whole or not at all, so a part is never applied: what would the record
say it follows, once half of a commit is in it? What is left out is counted, and so are the
widenings in it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from reconciler.change import Action, Change, Plan
from runner.contract import audit_entry
from runner.contract.kinds import Key, digest
from runner.contract.kinds.base import DEFAULT_NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What was asked for, what came along because it is needed, and what is not shown."""

    targets: tuple[str, ...]
    named: int
    needed: int
    hidden: Mapping[Action, int]
    hidden_widenings: int
    whole_id: str


def matches(target: str, key: Key) -> bool:
    """Whether a target means a key: `kind/namespace/name`, `kind/name`, or a pattern."""
    kind, slash, rest = target.partition("/")
    pattern = f"{kind.lower()}{slash}{rest}"
    forms = [str(key)]
    if key.namespace == DEFAULT_NAMESPACE:
        forms.append(f"{key.kind.lower()}/{key.name}")
    return any(fnmatchcase(form, pattern) for form in forms)


def unmatched(targets: Iterable[str], keys: Iterable[Key]) -> list[str]:
    """The targets that mean none of the keys."""
    known = list(keys)
    return [target for target in targets if not any(matches(target, key) for key in known)]


def names(planned: Plan) -> list[Key]:
    """Every key that a target can mean in a plan, former names too."""
    found = [change.key for change in planned.changes]
    return found + [change.previous for change in planned.changes if change.previous]


def select(planned: Plan, targets: Sequence[str]) -> tuple[Plan, Partial]:
    """The plan with only the changes that are named and those they need; another id."""
    named = {
        change.key
        for change in planned.changes
        for key in (change.key, change.previous)
        if key is not None and any(matches(target, key) for target in targets)
    }
    kept = _needed(planned, named)
    changes = tuple(change for change in planned.changes if change.key in kept)
    hidden = Counter(change.action for change in planned.changes if change.key not in kept)
    counts = Counter(change.action for change in changes)
    findings = tuple(item for item in planned.findings if item.resource in kept)
    content = {"whole": planned.id, "targets": sorted(targets)}
    part = replace(
        planned,
        id=digest(audit_entry.canonical(content)),
        changes=changes,
        findings=findings,
        partial=tuple(targets),
        counts={action: counts[action] for action in Action},
    )
    return part, Partial(
        targets=tuple(targets),
        named=len(named),
        needed=len(kept) - len(named),
        hidden={action: hidden[action] for action in Action},
        hidden_widenings=len(planned.widenings) - len(part.widenings),
        whole_id=planned.id,
    )


def _needed(planned: Plan, named: AbstractSet[Key]) -> set[Key]:
    """The keys named, and those of every change that they lead to."""
    changes: dict[Key, Change] = {change.key: change for change in planned.changes}
    kept: set[Key] = set()
    waiting = list(named)
    while waiting:
        key = waiting.pop()
        if key in kept or key not in changes:
            continue
        kept.add(key)
        after = changes[key].after
        waiting += [mention.target for mention in after.mentions] if after is not None else []
    return kept
