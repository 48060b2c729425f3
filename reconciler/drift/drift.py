"""A drift: how one thing is not as it was applied. Pure values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runner.contract.kinds import Key


class DriftKind(StrEnum):
    """How something drifted."""

    EDITED = "edited"
    """Its body is not the one that the commit declares."""
    MISSING = "missing"
    """The commit declares it, and it is not recorded."""
    EXTRA = "extra"
    """It is recorded as the repository's, and the commit does not declare it."""
    DISOWNED = "disowned"
    """The commit declares it, and it is recorded as somebody else's."""
    REBOUND = "rebound"
    """Commit, path or line are others: a decision would name the wrong place."""
    REFERENCES = "references"
    """What it names is recorded otherwise than the commit says."""
    UNSEALED = "unsealed"
    """A secret value that it stands for is gone, or is another."""
    UNLOGGED = "unlogged"
    """The audit log knows nothing of it, or says something else."""
    ROLLED_BACK = "rolled-back"
    """Commits were applied of which the recorded state knows nothing: it is an older copy."""
    BY_HAND = "by-hand"
    """A person applied it from a file; told apart, since nothing is wrong with it."""
    CHANGED = "changed"
    """Something in the world is not what it was when it was first seen."""
    UNAVAILABLE = "unavailable"
    """Something in the world that it needs is not there."""


WORLD: Final = frozenset({DriftKind.CHANGED, DriftKind.UNAVAILABLE})
"""The kinds that no commit can mend."""
HEALABLE: Final = frozenset(
    {
        DriftKind.EDITED,
        DriftKind.MISSING,
        DriftKind.EXTRA,
        DriftKind.DISOWNED,
        DriftKind.REBOUND,
        DriftKind.REFERENCES,
        DriftKind.UNSEALED,
        DriftKind.UNLOGGED,
    }
)
"""The kinds that applying the commit again mends, for what the commit declares."""


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One drift of one subject, in a sentence without secrets.

    `subject` is a resource's key, or `source/NAME`. `found` is the digest of what was found:
    another one under the same kind is another drift. `declared` says whether the commit
    declares the subject, so that there is something to put back.
    """

    subject: str
    kind: DriftKind
    sentence: str
    found: str = ""
    declared: bool = False
    key: Key | None = None

    @property
    def counts(self) -> bool:
        """Whether somebody has to act."""
        return self.kind is not DriftKind.BY_HAND

    @property
    def healable(self) -> bool:
        """Whether putting back what the commit declares mends it."""
        return self.kind is DriftKind.EXTRA or (self.kind in HEALABLE and self.declared)
