"""What verification of the log can find. Pure values.

A finding names the attack and the first entry it strikes, or the two entries between which
that one lies: a root covers all entries since the checkpoint before it, and does not say
which of them was changed.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.proof.note import VerifierKey


class Attack(StrEnum):
    """What was done to a log, or looks as if it had been."""

    EDIT = "edit"
    DELETION = "deletion"
    INSERTION = "insertion"
    REORDERING = "reordering"
    DISCLOSURE = "edited-disclosure"
    TRUNCATION = "truncation"
    ROLLBACK = "rollback"
    REWRITE = "rewrite"
    REWRITE_WITH_KEY = "rewrite-with-key"
    FORK = "fork"
    BACK_DATING = "back-dating"
    SIGNATURE = "stripped-signature"
    WRONG_KEY = "wrong-key"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: the attack, the first entry concerned, and in which entries it lies."""

    attack: Attack
    sentence: str
    seq: int | None = None
    until: int | None = None


@dataclass(slots=True)
class Report:
    """What verification saw. `head` is the root over all entries, in hex.

    `signed` is how many entries the largest checkpoint that holds covers, `kept` the largest
    of those that others keep, `cosigned` the largest that a quorum cosigned, where a policy
    asks for one. `checkpoints` and `witnessed` count them.
    """

    entries: int = 0
    head: str = ""
    checkpoints: int = 0
    signed: int = 0
    witnessed: int = 0
    kept: int = 0
    cosigned: int | None = None
    keys: list[VerifierKey] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def told(self) -> bool:
        """Whether anything could be told: what nobody signed may have been written anew."""
        return bool(self.findings or self.signed or not self.entries)
