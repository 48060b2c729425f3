"""What holds, erasures and reviews say, as values. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runner.contract.audit_entry import canonical


class Scope(StrEnum):
    """What a hold covers."""

    LOG = "log"
    NAMESPACE = "namespace"
    AGENT = "agent"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class LegalHold:
    """A hold that stands. `subject` is what it is about; empty for the whole log."""

    id: str
    scope: Scope
    subject: str
    person: str
    reason: str
    set_at: int


@dataclass(frozen=True, slots=True)
class Registered:
    """An erasure. `said` has who asked, who agreed and the ground, unless that is erased.

    `listed` is None where the list is not the one that the entry vouches for.
    """

    seq: int
    fields: dict[str, Any]
    said: dict[str, str]
    listed: dict[str, list[Any]] | None


@dataclass(frozen=True, slots=True)
class Statement:
    """What a reviewer says. `size` and `root` are those of the log they looked at."""

    log: str
    since_us: int
    until_us: int
    size: int
    root: str
    outcome: str
    reviewer: str
    note: str

    @property
    def raw(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        return canonical({name: getattr(self, name) for name in self.__slots__}).encode()


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review that the log has."""

    seq: int
    time_us: int
    actor: str
    outcome: str
    statement: Statement | None
    signature: str | None
