"""A task in the hands of a worker, before and after. Pure values."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runner.contract.audit_entry import Entry, EntryType
from runner.contract.kinds import Key
from runner.contract.task_state import TaskState


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
    task_name: str | None = None
    flow: dict[str, Any] = field(default_factory=dict)


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
    task_name: str | None = None
    subject: str = ""


def entry(kind: EntryType, held: Held, **facts: Any) -> Entry:
    """An entry about a held task, in its worker's name unless `actor` says otherwise."""
    facts.setdefault("actor", f"worker:{held.worker}")
    return Entry(
        type=kind,
        commit=held.commit,
        task=held.task,
        attempt=held.fence,
        manifests=held.manifests,
        **facts,
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """What the workers of a host have. No models named: any."""

    region: str = ""
    gpu: bool = False
    models: frozenset[str] = frozenset()


ANY_WORKER: Final = Offer()
"""What a host offers whose settings say nothing."""


def fits(requirements: Mapping[str, Any], offer: Offer) -> bool:
    """Whether workers that offer this may take a task that needs that."""
    region, model = requirements.get("region"), requirements.get("model")
    return (
        (region is None or region == offer.region)
        and (offer.gpu or not requirements.get("gpu", False))
        and (model is None or not offer.models or model in offer.models)
    )


def fair(
    lanes: Sequence[tuple[str, Sequence[str]]], busy: Mapping[str, int], limit: int
) -> list[str]:
    """The tasks to start next, of equal priority: in rounds over subjects, then by age.

    Each lane is its name, which begins with the subject, and the ids at its head, oldest
    first. `busy` says how many tasks of a subject run: those rounds it has had already.
    """
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    for lane, ids in lanes:
        waiting[lane.partition(" ")[0]] += ids
    turns = (
        (busy.get(subject, 0) + place, id)
        for subject, ids in waiting.items()
        for place, id in enumerate(sorted(ids))
    )
    return [id for _, id in heapq.nsmallest(limit, turns)]


@dataclass(frozen=True, slots=True)
class Parking:
    """Why a task cannot go on now: the state that it waits in, until when, and the reason.

    It holds no worker meanwhile, and the attempt does not count.
    """

    state: TaskState
    until_us: int
    reason: str


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

    def leave(self, count: int) -> None:
        """Leave no more than so many to be filled."""
        del self._free[max(0, count) :]

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
