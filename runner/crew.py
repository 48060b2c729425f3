"""The worker processes of a host as the dispatcher sees them: what each holds and is sent."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from runner.claim import Held, Slots
from runner.wire import Wire

INBOX_MAX: Final = 256  # Messages of one worker that wait to be written; then it waits too.


@dataclass(eq=False)
class Worker:
    """A worker process, as the dispatcher sees it. `heard_us` is on the boot clock."""

    id: str
    pid: int
    slots: int
    wire: Wire
    started_us: int
    heard_us: int
    saved_us: int = 0
    ready: bool = False
    draining: bool = False
    dismissed: bool = False
    unwritten: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)
    held: dict[str, Held] = field(default_factory=dict)
    sets: set[str] = field(default_factory=set)

    async def heard(self) -> None:
        """Count a message; returns when another one may be read."""
        self.unwritten += 1
        if self.unwritten >= INBOX_MAX:
            self.room.clear()
            await self.room.wait()

    def caught_up(self) -> None:
        """Every message that was heard is written."""
        self.unwritten = 0
        self.room.set()


def slots(workers: Collection[Worker], last_chance: Callable[[int], bool]) -> Slots:
    """The slots that may be filled; a worker with a task on its last chance has none."""
    return Slots(
        (worker.id, len(worker.held), worker.slots)
        for worker in workers
        if worker.ready and not worker.draining
        if not any(last_chance(held.crashes) for held in worker.held.values())
    )


def busy(workers: Collection[Worker]) -> Counter[str]:
    """How many tasks of each subject run."""
    return Counter(held.subject for worker in workers for held in worker.held.values())
