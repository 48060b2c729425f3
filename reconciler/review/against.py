"""A plan between two commits of a clone, where there is no recorded state: for a review.

    base branch ──where they parted──> base ──applied in a scratch home──> record
    head ──────────────────────────────────────────planned against it────> plan

The base is applied for real, in a home that is thrown away, so that the plan is the one that
the daemon would make: the same loader, checks, moves, findings and gates. Where the base has
mistakes itself, the newest commit before it that has none is what the daemon runs, and what
is planned against. Settings that need a person, a key or a clock do not count here: who may
merge decides about that.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git.clone import Clone
from reconciler.preview import Preview
from reconciler.reconcile import Reconciler
from runner.contract import clock, database, errors
from runner.contract.database import Database
from runner.contract.settings import DEFAULT_SOURCE, Settings
from runner.contract.source_settings import Source

_NOTHING_THERE: Final = frozenset({"EmptyTree", "PathNotFound"})


@dataclass(frozen=True, slots=True)
class Against:
    """The plan, the scratch record it was made against, and what to know about it."""

    seen: Preview
    database: Database
    remarks: tuple[str, ...]


@contextmanager
def against(source: Source, repository: Path, base: str, head: str) -> Iterator[Against]:
    """What merging `head` into `base` would change; SourceError."""
    with tempfile.TemporaryDirectory(prefix="orloj-plan-") as name:
        home = Path(name)
        clone = Clone(repository, home / "clone", source.timeout_s)
        tip, new = clone.commit(base), clone.commit(head)
        old = clone.parted(tip, new)
        settings = Settings(home=home, source=_neutral(source, clone, head))
        scratch = database.open_database(home)
        try:
            reconciler = Reconciler(settings, scratch, DEFAULT_SOURCE, _shown(head))
            remarks = [f"{base} → {head}, between two commits; no recorded state was asked"]
            if more := clone.count(new, tip):
                remarks.append(
                    f"{base} has {more} newer commits; shown is what {head} changes since then"
                )
            remarks += _apply_base(reconciler, clone, old, base)
            yield Against(reconciler.preview(new), scratch, tuple(remarks))
        finally:
            scratch.close()


def _neutral(source: Source, clone: Clone, head: str) -> Source:
    """The settings that say how to read a repository, without those that say who decides."""
    return source.model_copy(
        update={
            "url": str(clone.path),
            "ref": _shown(head),
            "semver": "",
            "commit": "",
            "verify": "off",
            "non_fast_forward": "allow",
            "approval": "never",
            "freeze": [],
        }
    )


def _shown(head: str) -> str:
    return "HEAD" if head == "HEAD" else head.removeprefix("origin/")


def _apply_base(reconciler: Reconciler, clone: Clone, commit: str, base: str) -> Iterator[str]:
    """Record the newest commit up to the base that can be applied; what to know about that."""
    for at, candidate in enumerate(clone.first_parents(commit)):
        try:
            seen = reconciler.preview(candidate)
        except errors.SourceStalled as error:
            if error.reason not in _NOTHING_THERE:
                raise
            if at == 0:
                yield f"{base} declares nothing yet"
            return
        if seen.plan is not None and not seen.plan.blocked:
            reconciler.apply(seen.plan, clock.now_us())
            if at:
                yield f"planned against {candidate[:8]}: what came after it cannot be applied"
            return
        if at == 0:
            why = seen.problems[0] if seen.problems else "it is blocked"
            yield f"{base} cannot be applied itself: {why}"
    yield "nothing before it can be applied either: all is shown as new"
