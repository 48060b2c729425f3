"""A task in the hands of a worker, before and after. Pure values."""

from dataclasses import dataclass
from typing import Any

from runner.contract.kinds import Key


@dataclass(frozen=True, slots=True)
class Claimable:
    """A task that waits for a worker."""

    id: str
    subject: Key
    input: dict[str, str]
    fence: int
    attempt: int
    crashes: int
    retry: dict[str, Any]
    commit: str | None
    manifest_set: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """A task in a worker's hands. `fence` is what every write of it names."""

    task: str
    worker: str
    fence: int
    attempt: int
    crashes: int
    retry: dict[str, Any]
    commit: str
    manifests: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a claim ends: the state the task goes to, and what is left of it."""

    state: str
    output: str | None = None
    error: str | None = None
    run_at: int | None = None
    attempt: int | None = None
    crashes: int | None = None
    finished: bool = False
    outcome: str
