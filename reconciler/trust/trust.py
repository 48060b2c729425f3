"""The question that a pass asks: may this commit follow the one applied, and who vouches?"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.change import Block, Provenance
from reconciler.git.source import GitSource
from reconciler.override import Override
from runner.contract.source_settings import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRequest:
    """A fetched commit, the one applied before it, and how they are related."""

    git: GitSource
    settings: Source
    previous: str | None
    commit: str
    fast_forward: bool
    overrides: Sequence[Override] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Why the commit may not be followed, if so, and who vouches for it."""

    blocks: tuple[Block, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


def examine(request: TrustRequest) -> Trust:
    """What is known of the commits from `previous` to `commit`; SourceError if Git fails."""
    return Trust()
