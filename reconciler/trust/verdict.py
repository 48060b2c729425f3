"""What is known of a commit's signature. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.change import Block


class Signature(StrEnum):
    """How a commit is signed."""

    GOOD = "good"
    """By a key that is trusted now, over exactly this commit."""
    NONE = "none"
    """Not at all."""
    BAD = "bad"
    """By something that does not hold."""
    UNKNOWN = "unknown"
    """By somebody whom nobody declared to be trusted, or nobody looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a commit is signed, by whom, with which key; `why` it is not good, where it is not.

    `signer` is as the keys file calls them, plain; `key` the fingerprint.
    """

    signature: Signature
    signer: str = ""
    key: str = ""
    why: str = ""

    @property
    def good(self) -> bool:
        """Whether somebody trusted vouches for the commit."""
        return self.signature is Signature.GOOD


def unasked(signed: bool) -> Verdict:
    """The verdict on a commit that nobody looked at."""
    if not signed:
        return Verdict(signature=Signature.NONE)
    return Verdict(signature=Signature.UNKNOWN, why="nobody verified it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A commit and its verdict, for those who want to read it; texts are plain."""

    commit: str
    author: str
    committer: str
    subject: str
    seal: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Every commit that a commit brings, newest first, and why it may not be followed."""

    source: str
    commit: str
    previous: str | None
    verify: str
    fast_forward: bool
    complete: bool
    commits: tuple[Judged, ...]
    blocks: tuple[Block, ...]
