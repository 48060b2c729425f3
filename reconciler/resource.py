"""A resource as a manifest declares it, and as it was recorded. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass

from runner.contract.kinds import Key


@dataclass(frozen=True, slots=True)
class Mention:
    """One resource naming another, with the place where it does."""

    target: Key
    line: int
    column: int
    required: bool


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource declared at `path:line`.

    `body` is its canonical text and `spec_hash` the digest of that. `lines` maps JSON
    pointers (`/spec/tools/1`) to lines, so that a decision can name its rule. `sealed`
    pairs the digests standing in a Secret's body with their ciphertext. `moved_from` are the
    names that it says it had before.
    """

    key: Key
    path: str
    line: int
    column: int
    spec_hash: str
    body: str
    lines: Mapping[str, int]
    mentions: tuple[Mention, ...] = ()
    sealed: tuple[tuple[str, str], ...] = ()
    blob: str | None = None
    moved_from: tuple[Mention, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A resource as it was last applied. `owner` is `git:SOURCE` or `person:NAME`."""

    key: Key
    owner: str
    commit: str | None
    path: str
    line: int
    spec_hash: str
    body: str
    generation: int
    blob: str | None = None


def git_owner(source: str) -> str:
    """The owner of what a repository declares."""
    return f"git:{source}"


def person_owner(name: str) -> str:
    """The owner of what somebody applied by hand."""
    return f"person:{name}"
