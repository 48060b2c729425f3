"""The worker processes of a host as the dispatcher sees them: what each holds and is sent."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from runner.claim import Held, Slots
from runner.wire import Wire

INBOX_MAX: Final = 256  # Messages of one worker that wait to be written; then it waits too.


@dataclass(eq=False)
class Worker:
    """A worker process, as the dispatcher sees it. `heard_us` is on the boot clock.

    It belongs to the event loop. `held` and `sets` change only between two turns of the
    writer, so that the writer may read them in its own thread; that a worker is `draining`
    it may see one turn too late.
    """

    id: str
    pid: int
    slots: int
    wire: Wire
    started_us: int
    heard_us: int
    saved: tuple[str, int] = ("", 0)
    """The state that stands in its row, and when it was last written there."""
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
        if self.full:
            self.room.clear()
            await self.room.wait()

    def caught_up(self, count: int) -> None:
        """So many of the messages that were heard are written."""
        self.unwritten -= count
        if not self.full:
            self.room.set()

    @property
    def full(self) -> bool:
        """Whether so much of it waits to be written that it is not listened to."""
        # Every slot may ask, and tell how its last call ended: those must not fill it.
        return self.unwritten >= max(INBOX_MAX, 4 * self.slots)


Hands = Callable[[Worker], Mapping[str, Held]]


def slots(
    workers: Iterable[Worker],
    last_chance: Callable[[int], bool],
    hands: Hands = attrgetter("held"),
) -> Slots:
    """The slots that may be filled; a worker with a task on its last chance has none."""
    open_hands = [(one, hands(one)) for one in workers if one.ready and not one.draining]
    return Slots(
        (worker.id, len(hand), worker.slots)
        for worker, hand in open_hands
        if not any(last_chance(held.crashes) for held in hand.values())
    )


def busy(workers: Iterable[Worker], hands: Hands = attrgetter("held")) -> Counter[str]:
    """How many tasks of each subject run."""
    return Counter(held.subject for worker in workers for held in hands(worker).values())
