"""The worker processes of a host as the dispatcher sees them: what each holds and is sent."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from runner.claim import Held
from runner.wire import Wire

INBOX_MAX: Final = 256  # Messages of one worker that wait to be written; then it waits too.


@dataclass(eq=False)
class Worker:
    """A worker process, as the dispatcher sees it. `heard_us` is on the boot clock.

    It belongs to the event loop. `held` and `sets` change only between two turns of the
    writer, so that the writer may read them in its own thread.
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
