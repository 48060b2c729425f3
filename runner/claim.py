"""A task in the hands of a worker, before and after. Pure values."""

from collections.abc import Iterable
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


class Slots:
    """The free slots of all workers, handed out from the least busy worker first."""

    def __init__(self, workers: Iterable[tuple[str, int, int]]) -> None:
        """Each worker as (id, tasks it holds, slots it has)."""
        known = list(workers)
        self._idle = {id for id, held, _ in known if held == 0}
        rounds = ((busy, id) for id, held, slots in known for busy in range(held, slots))
        self._free = [id for _, id in sorted(rounds)]

    def __len__(self) -> int:
        return len(self._free)

    def take(self, *, alone: bool = False) -> str | None:
        """The worker of the next slot; None when there is none.

        A task that must be alone gets a worker with nothing to do, and all its slots. While
        there is none, the least busy worker is given nothing more, so that there will be.
        """
        if not self._free:
            return None
        worker = self._free[0]
        was_idle = worker in self._idle
        self._idle.discard(worker)
        if not alone:
            del self._free[0]
            return worker
        self._free = [other for other in self._free if other != worker]
        return worker if was_idle else None
